import { basename } from "node:path";
import type { TableSystem } from "../../../../../src/volume/sealfs/keys/table-system.ts";

/** A file's bytes, whatever it is called. */
interface Inode {
  bytes: Buffer;
}

type Call =
  | { readonly what: "write"; readonly inode: number; readonly at: number; readonly bytes: Buffer }
  | { readonly what: "truncate"; readonly inode: number; readonly size: number }
  | { readonly what: "sync"; readonly inode: number }
  | { readonly what: "name"; readonly name: string; readonly inode: number | undefined }
  | { readonly what: "rename"; readonly from: string; readonly to: string }
  | { readonly what: "syncFolder" };

/**
 * What a crash leaves. `killed`: the process ended, all its calls are there. `powerLost`: only what was synced, bytes and
 * names. `namesOnly`: all names, but of the bytes only those that were synced.
 */
export type Crash = "killed" | "powerLost" | "namesOnly";

/**
 * A file system of one folder in memory, which remembers every changing call, can make the folder as a crash after any of them
 * would leave it, and fails a call when told to.
 */
export class RecordedSystem implements TableSystem {
  readonly calls: Call[] = [];
  readonly #inodes: Inode[] = [];
  readonly #names = new Map<string, number>();
  readonly #descriptors = new Map<number, number>();
  #nextDescriptor = 100;
  /** The code to fail with, for each call it is asked about. */
  failing: (call: string, changes: number) => string | undefined = () => undefined;

  /** A folder that holds these files, synced. */
  static holding(files: ReadonlyMap<string, Buffer>): RecordedSystem {
    const system = new RecordedSystem();
    for (const [name, bytes] of files) {
      system.#names.set(name, system.#inodes.length);
      system.#inodes.push({ bytes: Buffer.from(bytes) });
    }
    system.#base = new Map(files);
    return system;
  }

  #base: ReadonlyMap<string, Buffer> = new Map();

  files(): ReadonlyMap<string, Buffer> {
    return new Map(Array.from(this.#names, ([name, inode]) => [name, Buffer.from(this.#inode(inode).bytes)]));
  }

  /** The folder as a crash after so many of the recorded calls leaves it. */
  afterCrash(count: number, crash: Crash): RecordedSystem {
    const now: Buffer[] = [];
    const synced: Buffer[] = [];
    let names = new Map<string, number>();
    for (const [name, bytes] of this.#base) {
      names.set(name, now.length);
      now.push(Buffer.from(bytes));
      synced.push(Buffer.from(bytes));
    }
    let syncedNames = new Map(names);
    for (const call of this.calls.slice(0, count)) {
      if (call.what === "write") now[call.inode] = withBytes(now[call.inode], call.at, call.bytes);
      else if (call.what === "truncate") now[call.inode] = withSize(now[call.inode], call.size);
      else if (call.what === "sync") synced[call.inode] = now[call.inode] ?? Buffer.alloc(0);
      else if (call.what === "syncFolder") syncedNames = new Map(names);
      else if (call.what === "rename") names = renamed(names, call.from, call.to);
      else if (call.inode === undefined) names.delete(call.name);
      else names.set(call.name, call.inode);
    }
    const left = crash === "powerLost" ? syncedNames : names;
    const content = crash === "killed" ? now : synced;
    return RecordedSystem.holding(
      new Map(Array.from(left, ([name, inode]) => [name, content[inode] ?? Buffer.alloc(0)])),
    );
  }

  read(path: string, mostBytes: number): Buffer | undefined {
    this.#check("read");
    const inode = this.#names.get(basename(path));
    return inode === undefined ? undefined : Buffer.from(this.#inode(inode).bytes.subarray(0, mostBytes + 1));
  }

  open(path: string, how: "existing" | "fresh"): number {
    this.#check("open");
    const name = basename(path);
    let inode = this.#names.get(name);
    if (inode === undefined) {
      if (how === "existing") throw failure("ENOENT");
      inode = this.#inodes.length;
      this.#inodes.push({ bytes: Buffer.alloc(0) });
      this.#names.set(name, inode);
      this.calls.push({ what: "name", name, inode });
    } else if (how === "fresh") {
      this.#inode(inode).bytes = Buffer.alloc(0);
      this.calls.push({ what: "truncate", inode, size: 0 });
    }
    const fd = this.#nextDescriptor++;
    this.#descriptors.set(fd, inode);
    return fd;
  }

  write(fd: number, bytes: Buffer, at: number): void {
    const inode = this.#opened(fd);
    const code = this.failing("write", this.calls.length);
    // A full disk takes a part of what it is given.
    const taken = code === undefined ? bytes : bytes.subarray(0, bytes.length >> 1);
    this.#inode(inode).bytes = withBytes(this.#inode(inode).bytes, at, taken);
    this.calls.push({ what: "write", inode, at, bytes: Buffer.from(taken) });
    if (code !== undefined) throw failure(code);
  }

  truncate(fd: number, size: number): void {
    this.#check("truncate");
    const inode = this.#opened(fd);
    this.#inode(inode).bytes = withSize(this.#inode(inode).bytes, size);
    this.calls.push({ what: "truncate", inode, size });
  }

  sync(fd: number): void {
    this.#check("sync");
    this.calls.push({ what: "sync", inode: this.#opened(fd) });
  }

  close(fd: number): void {
    this.#opened(fd);
    this.#descriptors.delete(fd);
  }

  rename(from: string, to: string): void {
    this.#check("rename");
    const names = renamed(this.#names, basename(from), basename(to));
    this.#names.clear();
    for (const [name, inode] of names) this.#names.set(name, inode);
    this.calls.push({ what: "rename", from: basename(from), to: basename(to) });
  }

  remove(path: string): void {
    this.#check("remove");
    if (!this.#names.delete(basename(path))) return;
    this.calls.push({ what: "name", name: basename(path), inode: undefined });
  }

  syncFolder(): void {
    this.#check("syncFolder");
    this.calls.push({ what: "syncFolder" });
  }

  get openDescriptors(): number {
    return this.#descriptors.size;
  }

  #opened(fd: number): number {
    const inode = this.#descriptors.get(fd);
    if (inode === undefined) throw failure("EBADF");
    return inode;
  }

  #inode(inode: number): Inode {
    const found = this.#inodes[inode];
    if (found === undefined) throw failure("EBADF");
    return found;
  }

  #check(call: string): void {
    const code = this.failing(call, this.calls.length);
    if (code !== undefined) throw failure(code);
  }
}

function withBytes(before: Buffer = Buffer.alloc(0), at: number, bytes: Buffer): Buffer {
  const after = Buffer.alloc(Math.max(before.length, at + bytes.length));
  before.copy(after);
  bytes.copy(after, at);
  return after;
}

function withSize(before: Buffer = Buffer.alloc(0), size: number): Buffer {
  const after = Buffer.alloc(size);
  before.copy(after, 0, 0, Math.min(size, before.length));
  return after;
}

function renamed(names: ReadonlyMap<string, number>, from: string, to: string): Map<string, number> {
  const inode = names.get(from);
  if (inode === undefined) throw failure("ENOENT");
  const after = new Map(names);
  after.delete(from);
  after.set(to, inode);
  return after;
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}
