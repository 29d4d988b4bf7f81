import koffi from "koffi";

/** The errno's name of a failed call, as Node's own errors have it in `code`. */
export class NativeError extends Error {
  readonly code: string;

  constructor(call: string, code: string) {
    super(`${call}: ${code}`);
    this.code = code;
  }
}

type NativeCall = (...args: readonly unknown[]) => number;

const library = koffi.load("libc.so.6");
const names = new Map(Object.entries(koffi.os.errno).map(([name, number]) => [number, name]));
const preferred: Readonly<Record<string, string>> = {
  ENOTSUP: "EOPNOTSUPP",
  EWOULDBLOCK: "EAGAIN",
  EDEADLOCK: "EDEADLK",
};

function bind(name: string, parameters: string, result: "int" | "long" = "int"): NativeCall {
  const call: NativeCall = library.func(`${result} ${name}(${parameters})`);
  return (...args) => {
    const value = call(...args);
    if (value >= 0) return value;
    const code = names.get(koffi.errno()) ?? `errno ${koffi.errno()}`;
    throw new NativeError(name, preferred[code] ?? code);
  };
}

const path = "const char *";
const currentFolder = -100;
const renameat2 = bind("renameat2", `int, ${path}, int, ${path}, unsigned int`);
const utimensat = bind("utimensat", `int, ${path}, uint8_t *, int`);
const mmap = bind("mmap", "uint64, size_t, int, int, int, long", "long");
const munmap = bind("munmap", "uint64, size_t");
const msync = bind("msync", "uint64, size_t, int");
const copyIn: NativeCall = library.func("uint64 memcpy(uint64, uint8_t *, size_t)");
const copyOut: NativeCall = library.func("uint64 memcpy(uint8_t *, uint64, size_t)");

/** System calls that Node lacks. Each throws {@link NativeError}. */
export const native = {
  fallocate: bind("fallocate", "int, int, long, long"),
  lseek: bind("lseek", "int, long, int", "long"),
  mknod: bind("mknod", `${path}, unsigned int, unsigned long`),
  flock: bind("flock", "int, int"),
  fcntl: bind("fcntl", "int, int, uint8_t *"),
  syncfs: bind("syncfs", "int"),
  setxattr: bind("setxattr", `${path}, ${path}, uint8_t *, size_t, int`),
  getxattr: bind("getxattr", `${path}, ${path}, uint8_t *, size_t`, "long"),
  listxattr: bind("listxattr", `${path}, uint8_t *, size_t`, "long"),
  removexattr: bind("removexattr", `${path}, ${path}`),
  copyFileRange: bind("copy_file_range", "int, int64 *, int, int64 *, size_t, unsigned int", "long"),
  rename: (from: string, to: string, flags: number): number => renameat2(currentFolder, from, currentFolder, to, flags),
} as const;

/** utimensat(2) without following a link. */
export function setTimes(of: string, accessedNs: bigint, modifiedNs: bigint): void {
  const times = Buffer.alloc(32);
  times.writeBigInt64LE(accessedNs / 1_000_000_000n, 0);
  times.writeBigInt64LE(accessedNs % 1_000_000_000n, 8);
  times.writeBigInt64LE(modifiedNs / 1_000_000_000n, 16);
  times.writeBigInt64LE(modifiedNs % 1_000_000_000n, 24);
  utimensat(currentFolder, of, times, 0x100);
}

/** Open-file-description locks of fcntl(2): F_OFD_SETLK with F_RDLCK 0, F_WRLCK 1, F_UNLCK 2. */
export function lockRange(descriptor: number, type: number, start: number, length: number): void {
  const lock = Buffer.alloc(32);
  lock.writeInt16LE(type, 0);
  lock.writeBigInt64LE(BigInt(start), 8);
  lock.writeBigInt64LE(BigInt(length), 16);
  native.fcntl(descriptor, 37, lock);
}

const pageBytes = 4096;
const readWrite = 3;
const shared = 1;
const sharedAnonymous = 0x21;

/** A shared mapping of whole pages of a file; the bytes beyond its end are not to be touched. */
export class Mapping {
  readonly #address: number;
  readonly #length: number;

  constructor(descriptor: number, at: number, length: number, protection: number = readWrite) {
    this.#length = length;
    this.#address = mmap(0, length, protection, shared, descriptor, at - (at % pageBytes));
  }

  write(within: number, bytes: Buffer): void {
    copyIn(this.#address + within, bytes, bytes.length);
  }

  read(within: number, into: Buffer): void {
    copyOut(into, this.#address + within, into.length);
  }

  /** msync(2) with MS_SYNC. */
  sync(): void {
    msync(this.#address, this.#length, 4);
  }

  close(): void {
    munmap(this.#address, this.#length);
  }
}

const pread = bind("pread", "int, uint64, size_t, long", "long");
const pwrite = bind("pwrite", "int, uint64, size_t, long", "long");

/** Reads and writes from page-aligned memory, as O_DIRECT wants it. */
export class AlignedMemory {
  readonly #address: number;
  readonly #length: number;

  constructor(length: number) {
    this.#length = length;
    this.#address = mmap(0, length, readWrite, sharedAnonymous, -1, 0);
  }

  read(descriptor: number, at: number, into: Buffer): number {
    const count = pread(descriptor, this.#address, into.length, at);
    copyOut(into, this.#address, count);
    return count;
  }

  write(descriptor: number, at: number, bytes: Buffer): number {
    copyIn(this.#address, bytes, bytes.length);
    return pwrite(descriptor, this.#address, bytes.length, at);
  }

  close(): void {
    munmap(this.#address, this.#length);
  }
}
