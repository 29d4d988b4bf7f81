/**
 * The one place where this part calls the C library, through koffi, loaded at first use. Only what Node lacks: ioctl
 * for the kernel's encryption, open-file-description locks, prctl and resource limits, mkfifo.
 */
type NativeCall = (...args: readonly unknown[]) => number;

export interface Libc {
  /** ioctl(2) with a buffer that the kernel reads and may write. @throws {SystemCallError} */
  ioctl(fd: number, request: number, argument: Buffer): void;
  /** fcntl(2) with a buffer. @throws {SystemCallError} */
  fcntl(fd: number, command: number, argument: Buffer): void;
  /** prctl(2) with one argument; returns its result. @throws {SystemCallError} */
  prctl(operation: number, argument: number): number;
  /** setrlimit(2), soft and hard alike. @throws {SystemCallError} */
  setLimit(resource: number, value: bigint): void;
  /** mkfifo(3). @throws {SystemCallError} */
  makeFifo(path: string, mode: number): void;
}

/** A failed system call, with the errno's name as Node's own errors have it. */
export class SystemCallError extends Error {
  override readonly name = "SystemCallError";
  /** `EBUSY`, `ENOTTY`, … or `errno N`. */
  readonly code: string;

  constructor(call: string, code: string) {
    super(`${call} failed: ${code}`);
    this.code = code;
  }
}

let loaded: Promise<Libc> | undefined;

/** @throws {Error} When koffi has no binary for this platform or there is no glibc. */
export function loadLibc(): Promise<Libc> {
  loaded ??= bind();
  return loaded;
}

async function bind(): Promise<Libc> {
  const { default: koffi } = await import("koffi");
  const library = koffi.load("libc.so.6");
  const names = errnoNames(koffi.os.errno);
  const checked = (call: string, result: number): number => {
    if (result >= 0) return result;
    const errno = koffi.errno();
    throw new SystemCallError(call, names.get(errno) ?? `errno ${errno}`);
  };
  const ioctl: NativeCall = library.func("int ioctl(int, unsigned long, uint8_t *)");
  const fcntl: NativeCall = library.func("int fcntl(int, int, uint8_t *)");
  const prctl: NativeCall = library.func("int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)");
  const setrlimit: NativeCall = library.func("int setrlimit(int, uint8_t *)");
  const mkfifo: NativeCall = library.func("int mkfifo(const char *, unsigned int)");
  return {
    ioctl: (fd, request, argument) => void checked("ioctl", ioctl(fd, request, argument)),
    fcntl: (fd, command, argument) => void checked("fcntl", fcntl(fd, command, argument)),
    prctl: (operation, argument) => checked("prctl", prctl(operation, argument, 0, 0, 0)),
    setLimit(resource, value) {
      const limits = Buffer.alloc(16);
      limits.writeBigUInt64LE(value, 0);
      limits.writeBigUInt64LE(value, 8);
      checked("setrlimit", setrlimit(resource, limits));
    },
    makeFifo: (path, mode) => void checked("mkfifo", mkfifo(path, mode)),
  };
}

/** Numbers of asm-generic/errno.h with more than one name; the name that the manual pages use comes first here. */
const preferredNames = ["EAGAIN", "EOPNOTSUPP", "EDEADLK"] as const;

function errnoNames(numbers: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  const names = new Map(Object.entries(numbers).map(([name, number]) => [number, name]));
  for (const name of preferredNames) {
    const number = numbers[name];
    if (number !== undefined) names.set(number, name);
  }
  return names;
}
