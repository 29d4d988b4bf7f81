import koffi from "koffi";
import { type ErrnoName, errno, FsError } from "../fs-error.ts";

/**
 * The system calls that a file system over another one needs and Node lacks: relative to a folder's descriptor, synchronous,
 * with names of any bytes. Each fails with `FsError` and the errno of the call; an interrupted call is made again.
 */
type NativeCall = (...args: readonly unknown[]) => number;

const library = koffi.load("libc.so.6");
const bind = (definition: string): NativeCall => library.func(definition);

const native = {
  close: bind("int close(int)"),
  fallocate: bind("int fallocate64(int, int, int64_t, int64_t)"),
  fchmod: bind("int fchmod(int, uint32_t)"),
  fchmodat: bind("int fchmodat(int, const uint8_t *, uint32_t, int)"),
  fchown: bind("int fchown(int, uint32_t, uint32_t)"),
  fchownat: bind("int fchownat(int, const uint8_t *, uint32_t, uint32_t, int)"),
  fdatasync: bind("int fdatasync(int)"),
  fstatvfs: bind("int fstatvfs64(int, uint8_t *)"),
  fsync: bind("int fsync(int)"),
  ftruncate: bind("int ftruncate64(int, int64_t)"),
  futimens: bind("int futimens(int, const uint8_t *)"),
  getdents: bind("int64_t getdents64(int, uint8_t *, size_t)"),
  linkat: bind("int linkat(int, const uint8_t *, int, const uint8_t *, int)"),
  lseek: bind("int64_t lseek64(int, int64_t, int)"),
  mkdirat: bind("int mkdirat(int, const uint8_t *, uint32_t)"),
  mknodat: bind("int mknodat(int, const uint8_t *, uint32_t, uint64_t)"),
  openat: bind("int openat64(int, const uint8_t *, int, uint32_t)"),
  pread: bind("int64_t pread64(int, uint8_t *, size_t, int64_t)"),
  pwrite: bind("int64_t pwrite64(int, const uint8_t *, size_t, int64_t)"),
  readlinkat: bind("int64_t readlinkat(int, const uint8_t *, uint8_t *, size_t)"),
  renameat2: bind("int renameat2(int, const uint8_t *, int, const uint8_t *, unsigned int)"),
  statx: bind("int statx(int, const uint8_t *, int, unsigned int, uint8_t *)"),
  symlinkat: bind("int symlinkat(const uint8_t *, int, const uint8_t *)"),
  syncfs: bind("int syncfs(int)"),
  unlinkat: bind("int unlinkat(int, const uint8_t *, int)"),
  utimensat: bind("int utimensat(int, const uint8_t *, const uint8_t *, int)"),
  lgetxattr: bind("int64_t lgetxattr(const uint8_t *, const uint8_t *, uint8_t *, size_t)"),
  lsetxattr: bind("int lsetxattr(const uint8_t *, const uint8_t *, const uint8_t *, size_t, int)"),
  llistxattr: bind("int64_t llistxattr(const uint8_t *, uint8_t *, size_t)"),
  lremovexattr: bind("int lremovexattr(const uint8_t *, const uint8_t *)"),
  getxattr: bind("int64_t getxattr(const uint8_t *, const uint8_t *, uint8_t *, size_t)"),
  setxattr: bind("int setxattr(const uint8_t *, const uint8_t *, const uint8_t *, size_t, int)"),
  listxattr: bind("int64_t listxattr(const uint8_t *, uint8_t *, size_t)"),
  removexattr: bind("int removexattr(const uint8_t *, const uint8_t *)"),
  fgetxattr: bind("int64_t fgetxattr(int, const uint8_t *, uint8_t *, size_t)"),
  fsetxattr: bind("int fsetxattr(int, const uint8_t *, const uint8_t *, size_t, int)"),
  flistxattr: bind("int64_t flistxattr(int, uint8_t *, size_t)"),
  fremovexattr: bind("int fremovexattr(int, const uint8_t *)"),
  getrlimit: bind("int getrlimit(int, uint8_t *)"),
  setrlimit: bind("int setrlimit(int, const uint8_t *)"),
  clockGettime: bind("int clock_gettime(int, uint8_t *)"),
} as const;

const names: ReadonlyMap<number, ErrnoName> = new Map(
  Object.entries(errno).map(([name, number]) => [number, name as ErrnoName]),
);
const interrupted = 4;
/** E2BIG: an attribute's value that the file system below has no room for, even if it is smaller than any limit. */
const tooBig = 7;

export type SystemCallName = keyof typeof native;

let observer: ((name: SystemCallName) => void) | undefined;

/**
 * From now on `before` is told of each system call before it is made, and may throw instead of it: so a test ends a process's
 * changes at a chosen call, as a kill would. Undefined: nobody is told.
 */
export function observeSystemCalls(before: ((name: SystemCallName) => void) | undefined): void {
  observer = before;
}

/**
 * Makes a system call.
 *
 * @returns What the call returned, never negative.
 * @throws {FsError} With the call's errno; EIO for an errno that no file system answers with.
 */
export function systemCall(name: SystemCallName, ...args: readonly unknown[]): number {
  observer?.(name);
  const call = native[name];
  for (;;) {
    const result = call(...args);
    if (result >= 0) return result;
    const number = koffi.errno();
    // The descriptor is gone all the same (close(2), Notes), and perhaps another's by now.
    if (number === interrupted && name === "close") return 0;
    if (number === interrupted) continue;
    if (number === tooBig) throw new FsError("ENOSPC", name);
    const known = names.get(number);
    throw known === undefined ? new FsError("EIO", `${name}: errno ${number}`) : new FsError(known, name);
  }
}

/** A byte string, one character for each byte, as the C library takes it. */
export function cString(bytes: string): Buffer {
  const buffer = Buffer.allocUnsafe(bytes.length + 1);
  buffer.write(bytes, "latin1");
  buffer[bytes.length] = 0;
  return buffer;
}

/** Numbers of fcntl.h, the same on x86-64 and arm64 but where {@link openFlags} says otherwise. */
export const at = { currentFolder: -100, symlinkNoFollow: 0x100, removeFolder: 0x200, emptyPath: 0x1000 } as const;

const isArm = process.arch === "arm64";

/** O_* of open(2). */
export const openFlags = {
  readOnly: 0,
  readWrite: 2,
  create: 0o100,
  exclusive: 0o200,
  truncate: 0o1000,
  append: 0o2000,
  nonBlocking: 0o4000,
  closeOnExec: 0o2000000,
  directory: isArm ? 0o40000 : 0o200000,
  noFollow: isArm ? 0o100000 : 0o400000,
  path: 0o10000000,
  noAccessTime: 0o1000000,
} as const;

/** S_IF* of inode(7). */
export const fileType = {
  mask: 0o170000,
  fifo: 0o010000,
  characterDevice: 0o020000,
  directory: 0o040000,
  blockDevice: 0o060000,
  regular: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
} as const;
