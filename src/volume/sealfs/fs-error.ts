/** Numbers of asm-generic/errno-base.h and errno.h that a file system answers with. */
export const errno = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EMLINK: 31,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
  ESTALE: 116,
  EDQUOT: 122,
  ENOKEY: 126,
} as const;

export type ErrnoName = keyof typeof errno;

/** A request that fails the way a system call does. */
export class FsError extends Error {
  override readonly name = "FsError";
  readonly code: string;
  /** What the kernel is answered with, positive. */
  readonly errno: number;

  /**
   * @param what - For events and tests; the kernel gets only the number. Names no content.
   * @param options - The error that this one answers for, if any.
   */
  constructor(code: ErrnoName, what?: string, options?: ErrorOptions) {
    const traced = Error.stackTraceLimit;
    // Names that are not there are asked for all the time: where from, is of no interest, and costs more than the look-up.
    if (code === "ENOENT") Error.stackTraceLimit = 0;
    super(what === undefined ? code : `${code}: ${what}`, options);
    Error.stackTraceLimit = traced;
    this.code = code;
    this.errno = errno[code];
  }
}
