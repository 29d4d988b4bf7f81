/**
 * System calls on /dev/fuse, through koffi, loaded at first use: a read that finds nothing is no exception here, and poll(2) and
 * mount(2) are not in Node at all.
 */
export interface KernelCalls {
  /** read(2). @returns Bytes, or minus an errno. */
  read(descriptor: number, into: Buffer): number;
  /** write(2) of the first `length` bytes. @returns Bytes, or minus an errno. */
  write(descriptor: number, bytes: Buffer, length: number): number;
  /** poll(2) on memory of struct pollfd. @param timeoutMs - Negative: for ever. @returns How many are ready, or minus an errno. */
  poll(descriptors: Buffer, count: number, timeoutMs: number): number;
  /** mount(2). @returns 0, or minus an errno. */
  mount(source: string, target: string, type: string, flags: number, options: string): number;
  /** umount2(2). @returns 0, or minus an errno. */
  unmount(target: string, flags: number): number;
  /** `ENODEV`, …, or `errno N`. */
  errnoName(number: number): string;
}

type NativeCall = (...args: readonly unknown[]) => number;

let loaded: Promise<KernelCalls> | undefined;

/** @throws {Error} When koffi has no binary for this platform or there is no glibc. */
export function loadKernelCalls(): Promise<KernelCalls> {
  loaded ??= bind();
  return loaded;
}

async function bind(): Promise<KernelCalls> {
  const { default: koffi } = await import("koffi");
  const library = koffi.load("libc.so.6");
  const orErrno = (result: number): number => (result < 0 ? -koffi.errno() : result);
  const read: NativeCall = library.func("long read(int, uint8_t *, size_t)");
  const write: NativeCall = library.func("long write(int, uint8_t *, size_t)");
  const poll: NativeCall = library.func("int poll(uint8_t *, unsigned long, int)");
  const mount: NativeCall = library.func(
    "int mount(const char *, const char *, const char *, unsigned long, const char *)",
  );
  const umount2: NativeCall = library.func("int umount2(const char *, int)");
  const names = new Map(Object.entries(koffi.os.errno).map(([name, number]) => [number, name]));
  return {
    read: (descriptor, into) => orErrno(read(descriptor, into, into.length)),
    write: (descriptor, bytes, length) => orErrno(write(descriptor, bytes, length)),
    poll: (descriptors, count, timeoutMs) => orErrno(poll(descriptors, count, timeoutMs)),
    mount: (source, target, type, flags, options) => orErrno(mount(source, target, type, flags, options)),
    unmount: (target, flags) => orErrno(umount2(target, flags)),
    errnoName: (number) => names.get(number) ?? `errno ${number}`,
  };
}
