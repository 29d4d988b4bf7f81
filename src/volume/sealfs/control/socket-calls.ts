/**
 * System calls on UNIX sockets for a process whose loop is its own and never waits for Node's, through koffi, loaded at first use.
 * Each returns minus an errno where it fails.
 */
export interface SocketCalls {
  /** A listening socket at a path of at most 107 bytes, that nobody waits on. Its file's mode is what the umask leaves. */
  listen(path: string): number;
  /** accept4(2): a connection that nobody waits on, not inherited by children. */
  accept(descriptor: number): number;
  /** The user at the other end (SO_PEERCRED, unix(7)). */
  peerUser(descriptor: number): number;
  /** recv(2) without waiting. 0: the other end has gone. */
  receive(descriptor: number, into: Buffer): number;
  /** send(2) without waiting, and without SIGPIPE. */
  send(descriptor: number, bytes: Buffer): number;
  /** poll(2) for input on one descriptor. @returns 1 when there is some, or the other end has gone; 0 when the time is over. */
  waitForInput(descriptor: number, timeoutMs: number): number;
  close(descriptor: number): number;
  /** epoll_create1(2). */
  makeWatch(): number;
  /** epoll_ctl(2). @param events - Of {@link watchEvents}; 0 watches for errors only. */
  watch(watch: number, what: "add" | "change" | "remove", descriptor: number, events: number): number;
  /** epoll_wait(2) without waiting: what is ready now. */
  ready(watch: number): readonly { readonly descriptor: number; readonly events: number }[];
}

/** Of sys/epoll.h. */
export const watchEvents = { input: 0x1, output: 0x4, error: 0x8, hangUp: 0x10, peerClosed: 0x2000 } as const;

/** Of asm-generic/errno.h. */
export const socketErrno = { EINTR: 4, EAGAIN: 11 } as const;

type NativeCall = (...args: readonly unknown[]) => number;

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const EPOLL_CLOEXEC = 0o2000000;
const ENAMETOOLONG = 36;
const pollIn = 1;
const backlog = 16;
const longestPathBytes = 107;
const mostEvents = 64;
const watchOperations = { add: 1, remove: 2, change: 3 } as const;
/** struct epoll_event is packed on x86-64 only. */
const eventBytes = process.arch === "x64" ? 12 : 16;
const eventDataAt = eventBytes - 8;

let loaded: Promise<SocketCalls> | undefined;

/** @throws {Error} When koffi has no binary for this platform or there is no glibc. */
export function loadSocketCalls(): Promise<SocketCalls> {
  loaded ??= bind();
  return loaded;
}

async function bind(): Promise<SocketCalls> {
  const { default: koffi } = await import("koffi");
  const library = koffi.load("libc.so.6");
  const orErrno = (result: number): number => (result < 0 ? -koffi.errno() : result);
  const socket: NativeCall = library.func("int socket(int, int, int)");
  const bindTo: NativeCall = library.func("int bind(int, uint8_t *, unsigned int)");
  const listen: NativeCall = library.func("int listen(int, int)");
  const accept4: NativeCall = library.func("int accept4(int, void *, void *, int)");
  const getsockopt: NativeCall = library.func("int getsockopt(int, int, int, uint8_t *, uint8_t *)");
  const recv: NativeCall = library.func("long recv(int, uint8_t *, size_t, int)");
  const send: NativeCall = library.func("long send(int, uint8_t *, size_t, int)");
  const poll: NativeCall = library.func("int poll(uint8_t *, unsigned long, int)");
  const close: NativeCall = library.func("int close(int)");
  const epollCreate: NativeCall = library.func("int epoll_create1(int)");
  const epollControl: NativeCall = library.func("int epoll_ctl(int, int, int, uint8_t *)");
  const epollWait: NativeCall = library.func("int epoll_wait(int, uint8_t *, int, int)");
  const eventRoom = Buffer.alloc(mostEvents * eventBytes);
  return {
    listen(path) {
      const address = Buffer.alloc(2 + longestPathBytes + 1);
      if (Buffer.byteLength(path) > longestPathBytes) return -ENAMETOOLONG;
      address.writeUInt16LE(AF_UNIX, 0);
      address.write(path, 2);
      const descriptor = orErrno(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      if (descriptor < 0) return descriptor;
      const bound = orErrno(bindTo(descriptor, address, 2 + Buffer.byteLength(path) + 1));
      const listening = bound < 0 ? bound : orErrno(listen(descriptor, backlog));
      if (listening >= 0) return descriptor;
      close(descriptor);
      return listening;
    },
    accept: (descriptor) => orErrno(accept4(descriptor, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC)),
    peerUser(descriptor) {
      // struct ucred: pid, uid, gid.
      const credentials = Buffer.alloc(12);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(credentials.length);
      const result = orErrno(getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, credentials, length));
      return result < 0 ? result : credentials.readUInt32LE(4);
    },
    receive: (descriptor, into) => orErrno(recv(descriptor, into, into.length, MSG_DONTWAIT)),
    send: (descriptor, bytes) => orErrno(send(descriptor, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL)),
    waitForInput(descriptor, timeoutMs) {
      const polled = Buffer.alloc(8);
      polled.writeInt32LE(descriptor, 0);
      polled.writeInt16LE(pollIn, 4);
      return orErrno(poll(polled, 1, timeoutMs));
    },
    close: (descriptor) => orErrno(close(descriptor)),
    makeWatch: () => orErrno(epollCreate(EPOLL_CLOEXEC)),
    watch(watch, what, descriptor, events) {
      const event = Buffer.alloc(eventBytes);
      event.writeUInt32LE(events, 0);
      event.writeBigUInt64LE(BigInt(descriptor), eventDataAt);
      return orErrno(epollControl(watch, watchOperations[what], descriptor, event));
    },
    ready(watch) {
      const count = orErrno(epollWait(watch, eventRoom, mostEvents, 0));
      return Array.from({ length: Math.max(0, count) }, (_, index) => ({
        events: eventRoom.readUInt32LE(index * eventBytes),
        descriptor: Number(eventRoom.readBigUInt64LE(index * eventBytes + eventDataAt)),
      }));
    },
  };
}
