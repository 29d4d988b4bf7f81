/** Numbers of linux/fuse.h (protocol 7.38), by their names there without `FUSE_`. Everything on the wire is in the machine's byte order. */

export const protocolMajor = 7;
/** What we speak when the kernel speaks something newer. */
export const protocolMinor = 38;
/** The kernel's of Linux 5.4, the oldest with max_pages and all structs in the form that is read here. */
export const oldestProtocolMinor = 31;

/** enum fuse_opcode. */
export const opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  SYNCFS: 50,
} as const;

export type OpcodeName = keyof typeof opcode;

const names: ReadonlyMap<number, string> = new Map(Object.entries(opcode).map(([name, number]) => [number, name]));

/** For reports: `LOOKUP`, or `opcode 47`. */
export function opcodeName(number: number): string {
  return names.get(number) ?? `opcode ${number}`;
}

/** Flags of INIT; the second word's are in `initFlags2`. */
export const initFlags = {
  ASYNC_READ: 2 ** 0,
  ATOMIC_O_TRUNC: 2 ** 3,
  BIG_WRITES: 2 ** 5,
  DO_READDIRPLUS: 2 ** 13,
  READDIRPLUS_AUTO: 2 ** 14,
  PARALLEL_DIROPS: 2 ** 18,
  MAX_PAGES: 2 ** 22,
  CACHE_SYMLINKS: 2 ** 23,
  EXPLICIT_INVAL_DATA: 2 ** 25,
  HANDLE_KILLPRIV_V2: 2 ** 28,
} as const;

/** fuse_setattr_in.valid. */
export const setattrValid = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  FH: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  LOCKOWNER: 1 << 9,
  CTIME: 1 << 10,
  KILL_SUIDGID: 1 << 11,
} as const;

/** FUSE_GETATTR_FH. */
export const getattrWithHandle = 1;
/** FUSE_WRITE_KILL_SUIDGID. */
export const writeKillsSuidgid = 4;
/** FUSE_OPEN_KILL_SUIDGID. */
export const openKillsSuidgid = 1;
/** FUSE_FSYNC_FDATASYNC. */
export const fsyncDataOnly = 1;
/** FOPEN_KEEP_CACHE. */
export const openKeepsCache = 2;
/** FOPEN_NOFLUSH: no FLUSH at close(2). Kernels before 5.18 do not know it, and ask. */
export const openNeedsNoFlush = 32;

/** fuse_in_header and fuse_out_header. */
export const inHeaderBytes = 40;
export const outHeaderBytes = 16;
/** fuse_write_in. */
export const writeInBytes = 40;

/** NAME_MAX. */
export const longestNameBytes = 255;
/** XATTR_NAME_MAX and XATTR_SIZE_MAX of linux/limits.h. */
export const longestAttributeNameBytes = 255;
export const largestAttributeBytes = 65_536;
/** PATH_MAX without its NUL. */
export const longestTargetBytes = 4095;
