import { RecordRefused } from "./target.ts";

/**
 * A local datagram socket (unix(7), SOCK_DGRAM), which /dev/log mostly is and Node cannot open: the C library through koffi,
 * loaded only when such a socket is named.
 */
const unixFamily = 1;
const datagramType = 2;
const closeOnExec = 0o2000000;
/** Never wait, and no signal when the other side is gone. */
const sendFlags = 0x40 | 0x4000;
const maxPathBytes = 107;
const messageTooLong = 90; // EMSGSIZE

interface Calls {
  socket(family: number, type: number, protocol: number): number;
  connect(socket: number, address: Buffer, length: number): number;
  send(socket: number, bytes: Buffer, length: number, flags: number): number;
  close(socket: number): number;
  /** Why the last call failed. */
  errno(): number;
}

export class UnixDatagramSocket {
  readonly #calls: Calls;
  #socket: number;

  private constructor(calls: Calls, socket: number) {
    this.#calls = calls;
    this.#socket = socket;
  }

  /** @throws {Error} When nothing listens there. */
  static async connect(path: string): Promise<UnixDatagramSocket> {
    const name = Buffer.from(path);
    if (name.length > maxPathBytes) throw new RangeError(`${path} is too long for a socket`);
    const calls = await load();
    const socket = calls.socket(unixFamily, datagramType | closeOnExec, 0);
    if (socket < 0) throw new Error(`no socket could be made (errno ${calls.errno()})`);
    const address = Buffer.alloc(2 + name.length + 1);
    address.writeUInt16LE(unixFamily, 0);
    address.set(name, 2);
    if (calls.connect(socket, address, address.length) < 0) {
      const errno = calls.errno();
      calls.close(socket);
      throw new Error(`${path} cannot be reached (errno ${errno})`);
    }
    return new UnixDatagramSocket(calls, socket);
  }

  /**
   * @throws {RecordRefused} When it is larger than the receiver takes in one datagram.
   * @throws {Error} When it is not taken at once: the receiver's queue is full, or it is gone.
   */
  send(message: Buffer): void {
    if (this.#calls.send(this.#socket, message, message.length, sendFlags) >= 0) return;
    const errno = this.#calls.errno();
    if (errno === messageTooLong)
      throw new RecordRefused(`the record has ${message.length} bytes, too many for a datagram`);
    throw new Error(`the message was not taken (errno ${errno})`);
  }

  close(): void {
    if (this.#socket >= 0) this.#calls.close(this.#socket);
    this.#socket = -1;
  }
}

async function load(): Promise<Calls> {
  const { default: koffi } = await import("koffi");
  const library = koffi.load("libc.so.6");
  return {
    socket: library.func("int socket(int, int, int)"),
    connect: library.func("int connect(int, uint8_t *, unsigned int)"),
    send: library.func("long send(int, uint8_t *, size_t, int)"),
    close: library.func("int close(int)"),
    errno: () => koffi.errno(),
  };
}
