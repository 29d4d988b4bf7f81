import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { describeStat } from "./describe.ts";
import { AlignedMemory, lockRange, Mapping, native, setTimes } from "./native-calls.ts";
import { type Operation, slotCount } from "./operation.ts";
import { patternBytes } from "./random.ts";

const pageBytes = 4096;
const otherUser = 65_534;
const seekFromStart = 0;
const seekFromHere = 1;
const seekData = 3;
const seekHole = 4;

/** Performs operations in one folder and says what came of each, in words that are the same for any right file system. */
export class FolderRunner {
  readonly root: string;
  readonly #slots: (number | undefined)[] = Array.from({ length: slotCount }, () => undefined);

  constructor(root: string) {
    this.root = root;
  }

  run(operation: Operation): string {
    if (operation.asOther) {
      process.setegid?.(otherUser);
      process.seteuid?.(otherUser);
    }
    try {
      return this.#perform(operation) ?? "done";
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (typeof code !== "string" || code.startsWith("ERR_")) throw error;
      return code;
    } finally {
      if (operation.asOther) {
        process.seteuid?.(0);
        process.setegid?.(0);
      }
    }
  }

  closeAll(): void {
    for (const [index, descriptor] of this.#slots.entries()) {
      if (descriptor !== undefined) fs.closeSync(descriptor);
      this.#slots[index] = undefined;
    }
  }

  #path(path: string): string {
    return join(this.root, path);
  }

  #perform(operation: Operation): string | undefined {
    if ("slot" in operation) {
      if (operation.kind === "open") {
        this.#open(operation.slot, operation.path, operation.flags, operation.mode);
        return undefined;
      }
      const descriptor = this.#slots[operation.slot];
      if (descriptor === undefined) return "no file";
      if (operation.kind === "close") {
        this.#slots[operation.slot] = undefined;
        fs.closeSync(descriptor);
        return undefined;
      }
      if (operation.kind === "copyRange") {
        const target = this.#slots[operation.toSlot];
        if (target === undefined) return "no file";
        const at = [BigInt(operation.at)];
        const to = [BigInt(operation.to)];
        return String(native.copyFileRange(descriptor, at, target, to, operation.length, 0));
      }
      return performOnFile(operation, descriptor);
    }
    return this.#performOnPath(operation, this.#path(operation.path));
  }

  #open(slot: number, path: string, flags: number, mode: number): void {
    const old = this.#slots[slot];
    this.#slots[slot] = undefined;
    if (old !== undefined) fs.closeSync(old);
    // A FIFO would wait for its other end.
    this.#slots[slot] = fs.openSync(this.#path(path), flags | fs.constants.O_NONBLOCK, mode);
  }

  #performOnPath(operation: Exclude<Operation, { slot: number }>, path: string): string | undefined {
    switch (operation.kind) {
      case "directWrite":
      case "directRead":
        return performDirectly(path, operation.kind === "directWrite", operation);
      case "truncate":
        fs.truncateSync(path, operation.size);
        return undefined;
      case "mkdir":
        fs.mkdirSync(path, operation.mode);
        return undefined;
      case "mkfifo":
        native.mknod(path, 0o010000 | operation.mode, 0);
        return undefined;
      case "chmod":
        fs.chmodSync(path, operation.mode);
        return describeStat(fs.lstatSync(path, { bigint: true }));
      case "rmdir":
        fs.rmdirSync(path);
        return undefined;
      case "unlink":
        fs.unlinkSync(path);
        return undefined;
      case "list":
        return fs
          .readdirSync(path, { withFileTypes: true })
          .map((entry) => `${entry.name}:${entry.isDirectory() ? "d" : entry.isSymbolicLink() ? "l" : "f"}`)
          .sort()
          .join(" ");
      case "stat":
        return describeStat(fs.statSync(path, { bigint: true }));
      case "lstat":
        return describeStat(fs.lstatSync(path, { bigint: true }));
      case "readlink":
        return fs.readlinkSync(path);
      case "syncFolder":
        withFile(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY, (folder) => fs.fsyncSync(folder));
        return undefined;
      case "rename":
        native.rename(path, this.#path(operation.to), operation.flags);
        return undefined;
      case "link":
        fs.linkSync(path, this.#path(operation.to));
        return undefined;
      case "symlink":
        fs.symlinkSync(operation.target, path);
        return undefined;
      case "chown":
        fs.lchownSync(path, operation.uid, operation.gid);
        return describeStat(fs.lstatSync(path, { bigint: true }));
      case "times": {
        setTimes(path, operation.accessedNs, operation.modifiedNs);
        const stat = fs.lstatSync(path, { bigint: true });
        return `${stat.atimeNs} ${stat.mtimeNs}`;
      }
      case "setAttribute": {
        const value = patternBytes(operation.mark, operation.length);
        native.setxattr(path, operation.name, value, value.length, operation.flags);
        return undefined;
      }
      case "getAttribute": {
        const value = Buffer.alloc(native.getxattr(path, operation.name, Buffer.alloc(1), 0));
        native.getxattr(path, operation.name, value, value.length);
        return digest(value);
      }
      case "removeAttribute":
        native.removexattr(path, operation.name);
        return undefined;
      case "listAttributes": {
        const list = Buffer.alloc(65_536);
        const length = native.listxattr(path, list, list.length);
        return list.toString("utf8", 0, length).split("\0").sort().join(" ");
      }
    }
  }
}

type FileOperation = Exclude<Extract<Operation, { slot: number }>, { kind: "open" | "close" | "copyRange" }>;

function performOnFile(operation: FileOperation, descriptor: number): string | undefined {
  switch (operation.kind) {
    case "fsync":
      fs.fsyncSync(descriptor);
      return undefined;
    case "fdatasync":
      fs.fdatasyncSync(descriptor);
      return undefined;
    case "fstat":
      return describeStat(fs.fstatSync(descriptor, { bigint: true }));
    case "seekAll":
      return inPlace(descriptor, seekAll);
    case "write":
      return `${fs.writeSync(descriptor, patternBytes(operation.mark, operation.length), 0, operation.length, operation.at)}`;
    case "read": {
      const bytes = Buffer.alloc(operation.length);
      const count = fs.readSync(descriptor, bytes, 0, bytes.length, operation.at);
      return digest(bytes.subarray(0, count));
    }
    case "ftruncate":
      fs.ftruncateSync(descriptor, operation.size);
      return describeStat(fs.fstatSync(descriptor, { bigint: true }));
    case "fallocate":
      native.fallocate(descriptor, operation.mode, operation.at, operation.length);
      return describeStat(fs.fstatSync(descriptor, { bigint: true }));
    case "mapWrite":
    case "mapRead":
      return performMapped(operation, descriptor);
    case "flock":
      native.flock(descriptor, operation.operation);
      return undefined;
    case "lockRange":
      lockRange(descriptor, operation.type, operation.at, operation.length);
      return undefined;
  }
}

function performMapped(
  operation: Extract<FileOperation, { kind: "mapWrite" | "mapRead" }>,
  descriptor: number,
): string {
  const stat = fs.fstatSync(descriptor);
  if (!stat.isFile()) return "no regular file";
  const length = Math.min(operation.length, stat.size - operation.at);
  if (length <= 0) return "beyond the end";
  const within = operation.at % pageBytes;
  const mapping = new Mapping(descriptor, operation.at, within + length, operation.kind === "mapRead" ? 1 : 3);
  try {
    if (operation.kind === "mapRead") {
      const bytes = Buffer.alloc(length);
      mapping.read(within, bytes);
      return digest(bytes);
    }
    mapping.write(within, patternBytes(operation.mark, length));
    if (operation.sync) mapping.sync();
    return `mapped ${length}`;
  } finally {
    mapping.close();
  }
}

function performDirectly(
  path: string,
  writes: boolean,
  { page, pages, mark }: { page: number; pages: number; mark: number },
): string {
  const { O_CREAT, O_DIRECT, O_NONBLOCK, O_RDONLY, O_RDWR } = fs.constants;
  return withFile(path, (writes ? O_RDWR | O_CREAT : O_RDONLY) | O_DIRECT | O_NONBLOCK, (descriptor) => {
    const memory = new AlignedMemory(pages * pageBytes);
    try {
      if (writes) return String(memory.write(descriptor, page * pageBytes, patternBytes(mark, pages * pageBytes)));
      const bytes = Buffer.alloc(pages * pageBytes);
      return digest(bytes.subarray(0, memory.read(descriptor, page * pageBytes, bytes)));
    } finally {
      memory.close();
    }
  });
}

/** Leaves the place of the next read or write as it was: where seeking ends depends on how large holes are. */
function inPlace(descriptor: number, use: (descriptor: number) => string): string {
  if (!fs.fstatSync(descriptor).isFile()) return "no regular file";
  const place = native.lseek(descriptor, 0, seekFromHere);
  try {
    return use(descriptor);
  } finally {
    native.lseek(descriptor, place, seekFromStart);
  }
}

/** Holes may be smaller or larger from one file system to the next; what must hold is that they read as zeros and take turns. */
function seekAll(descriptor: number): string {
  fs.fsyncSync(descriptor);
  const { size } = fs.fstatSync(descriptor);
  let at = 0;
  while (at < size) {
    let data = size;
    try {
      data = native.lseek(descriptor, at, seekData);
    } catch (error) {
      if ((error as { code?: string }).code !== "ENXIO") throw error;
    }
    if (data - at > 0 && !readsAsZeros(descriptor, at, Math.min(data - at, 1_000_000))) return `no hole at ${at}`;
    if (data >= size) break;
    const hole = native.lseek(descriptor, data, seekHole);
    if (hole <= data) return `no data at ${data}`;
    at = hole;
  }
  return "holes are zeros";
}

function readsAsZeros(descriptor: number, at: number, length: number): boolean {
  const bytes = Buffer.alloc(length, 1);
  try {
    fs.readSync(descriptor, bytes, 0, length, at);
  } catch (error) {
    if ((error as { code?: string }).code !== "EBADF") throw error;
    return true;
  }
  return bytes.every((byte) => byte === 0);
}

function withFile<T>(path: string, flags: number, use: (descriptor: number) => T): T {
  const descriptor = fs.openSync(path, flags, 0o644);
  try {
    return use(descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
}

function digest(bytes: Buffer): string {
  return `${bytes.length} bytes ${createHash("sha256").update(bytes).digest("base64url").slice(0, 12)}`;
}
