import { createHash } from "node:crypto";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect, isIPv6, type Socket } from "node:net";
import { hostname } from "node:os";
import type { StoredRecord } from "../../custody/contract/audit.ts";
import { counted, type SyslogSender, syslogMessage } from "./syslog-message.ts";
import { type ForwardTarget, RecordRefused } from "./target.ts";
import { UnixDatagramSocket } from "./unix-datagram.ts";

/** Where a syslog server listens. */
export type SyslogAddress =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "udp" | "tcp"; readonly host: string; readonly port: number };

const connectMs = 10_000;
const writeMs = 10_000;

/**
 * Reads `unix:PATH`, `udp:HOST:PORT`, `tcp:HOST:PORT` or `HOST:PORT` (UDP); IPv6 as `[::1]:514`.
 *
 * @throws {RangeError}
 */
export function parseSyslogAddress(text: string): SyslogAddress {
  const path = /^unix:(\/[^\0]{1,106})$/.exec(text)?.[1];
  if (path !== undefined) return { kind: "unix", path };
  const match = /^(?:(udp|tcp):)?(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]{1,253})):(\d{1,5})$/.exec(text);
  const host = match?.[2] ?? match?.[3];
  const port = Number(match?.[4]);
  if (host === undefined || port < 1 || port > 65_535)
    throw new RangeError(`a syslog server is unix:PATH, udp:HOST:PORT or tcp:HOST:PORT, got ${JSON.stringify(text)}`);
  return { kind: match?.[1] === "tcp" ? "tcp" : "udp", host, port };
}

/**
 * A syslog server. It confirms nothing: over UDP a record that is lost on the way stays lost, over TCP and a local stream
 * the last batch before a connection broke is sent again.
 */
export function syslogTarget(address: SyslogAddress): ForwardTarget {
  const place = address.kind === "unix" ? address.path : `${address.host}:${address.port}`;
  const named = {
    id: createHash("sha256").update(`syslog ${address.kind} ${place}`).digest("hex").slice(0, 16),
    label: `syslog ${address.kind}:${place}`,
  };
  const sender: SyslogSender = { hostname: hostname(), processId: process.pid };
  if (address.kind === "udp") return new UdpTarget(named, sender, address);
  return new StreamTarget(named, sender, address);
}

type Named = Pick<ForwardTarget, "id" | "label">;

class UdpTarget implements ForwardTarget {
  readonly id: string;
  readonly label: string;
  readonly #sender: SyslogSender;
  readonly #address: { readonly host: string; readonly port: number };
  readonly #socket: UdpSocket;

  constructor({ id, label }: Named, sender: SyslogSender, address: { readonly host: string; readonly port: number }) {
    this.id = id;
    this.label = label;
    this.#sender = sender;
    this.#address = address;
    this.#socket = createSocket(isIPv6(address.host) ? "udp6" : "udp4");
    this.#socket.on("error", () => {});
    this.#socket.unref();
  }

  async send(records: readonly StoredRecord[]): Promise<number> {
    let taken = 0;
    for (const record of records) {
      const message = syslogMessage(record, this.#sender);
      try {
        await this.#sendOne(message);
      } catch (error) {
        if (taken > 0) return taken;
        if ((error as NodeJS.ErrnoException).code !== "EMSGSIZE") throw error;
        throw new RecordRefused(`the record has ${message.length} bytes, too many for a datagram`);
      }
      taken += 1;
    }
    return taken;
  }

  #sendOne(message: Buffer): Promise<void> {
    const { host, port } = this.#address;
    return new Promise((resolve, reject) => {
      this.#socket.send(message, port, host, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  close(): void {
    this.#socket.close();
  }
}

/** TCP, or a local socket, which may be of streams or of datagrams. */
class StreamTarget implements ForwardTarget {
  readonly id: string;
  readonly label: string;
  onLost?: () => void;
  readonly #sender: SyslogSender;
  readonly #address: SyslogAddress;
  #socket: Socket | undefined;
  #datagrams: UnixDatagramSocket | undefined;

  constructor({ id, label }: Named, sender: SyslogSender, address: SyslogAddress) {
    this.id = id;
    this.label = label;
    this.#sender = sender;
    this.#address = address;
  }

  async send(records: readonly StoredRecord[], signal: AbortSignal): Promise<number> {
    const messages = records.map((record) => syslogMessage(record, this.#sender));
    if (this.#datagrams === undefined) {
      const kept = this.#socket !== undefined;
      try {
        this.#socket ??= await this.#connected(signal);
        await written(this.#socket, Buffer.concat(messages.map(counted)), signal);
        return records.length;
      } catch (error) {
        this.#drop();
        // What was written before this may lie in the connection that is gone.
        if (kept) this.onLost?.();
        if (this.#address.kind !== "unix" || (error as NodeJS.ErrnoException).code !== "EPROTOTYPE") throw error;
        this.#datagrams = await UnixDatagramSocket.connect(this.#address.path);
      }
    }
    return this.#sendDatagrams(this.#datagrams, messages);
  }

  close(): void {
    this.#drop();
    this.#datagrams?.close();
  }

  #sendDatagrams(socket: UnixDatagramSocket, messages: readonly Buffer[]): number {
    let taken = 0;
    try {
      for (const message of messages) {
        socket.send(message);
        taken += 1;
      }
    } catch (error) {
      if (taken > 0) return taken;
      if (error instanceof RecordRefused) throw error;
      socket.close();
      this.#datagrams = undefined;
      throw error;
    }
    return taken;
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }

  #connected(signal: AbortSignal): Promise<Socket> {
    const address = this.#address;
    const socket = connect(address.kind === "unix" ? { path: address.path } : { ...address });
    socket.unref();
    // What it may say is of no interest, but has to be read for its end to be seen.
    socket.resume();
    socket.on("close", () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.onLost?.();
    });
    return settled(socket, connectMs, signal, (resolve) => socket.once("connect", () => resolve(socket)));
  }
}

function written(socket: Socket, bytes: Buffer, signal: AbortSignal): Promise<void> {
  return settled(socket, writeMs, signal, (resolve, reject) => {
    socket.write(bytes, (error) => (error == null ? resolve() : reject(error)));
  });
}

/** Waits for a socket to do something: not longer than that, and not when it fails or the signal says so. */
function settled<T>(
  socket: Socket,
  mostMs: number,
  signal: AbortSignal,
  begin: (resolve: (value: T) => void, reject: (error: Error) => void) => void,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const timer = setTimeout(() => reject(new Error(`nothing was taken within ${mostMs} ms`)), mostMs);
  const stop = () => reject(new Error("the server closes"));
  const closed = () => reject(new Error("the connection ended"));
  socket.on("error", reject);
  socket.on("close", closed);
  signal.addEventListener("abort", stop);
  begin(resolve, reject);
  return promise
    .catch((error: unknown) => {
      socket.destroy();
      throw error;
    })
    .finally(() => {
      clearTimeout(timer);
      socket.off("close", closed);
      signal.removeEventListener("abort", stop);
      // An error that comes later ends the socket, which its `close` tells of.
      socket.off("error", reject);
      if (socket.listenerCount("error") === 0) socket.on("error", () => {});
    });
}
