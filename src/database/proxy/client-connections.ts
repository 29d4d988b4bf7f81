import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/** Node's code for it, the status, and what is said. */
const unreadable: Readonly<Record<string, readonly [string, string]>> = {
  HPE_INVALID_URL: [
    "400 Bad Request",
    "the request line holds characters that have to be escaped (%XX): spaces, and all that are not ASCII",
  ],
  HPE_HEADER_OVERFLOW: [
    "431 Request Header Fields Too Large",
    "the head of the request is too long: send the query in a form",
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "the request did not arrive in time"],
};
/** How many requests may wait behind one on its connection. */
const longestQueue = 256;

interface Latest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** When it has been answered, or its connection has ended. */
  readonly answered: Promise<void>;
}

/** Connections of clients: requests come one after the other, and may be followed by something that is no HTTP. */
export class ClientConnections {
  readonly #latest = new WeakMap<Duplex, Latest>();
  readonly #waiting = new WeakMap<Duplex, number>();

  /**
   * Waits until those before it on its connection are answered: a client that writes and then reads without waiting in between
   * finds what it wrote (RFC 9112 §9.3.2).
   *
   * @returns false when its connection has ended meanwhile.
   */
  async turn(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const { socket } = request;
    const before = this.#latest.get(socket);
    const { promise: answered, resolve } = Promise.withResolvers<void>();
    this.#latest.set(socket, { request, response, answered });
    response.once("close", resolve);
    if (before === undefined || isDone(before)) return true;
    const waiting = (this.#waiting.get(socket) ?? 0) + 1;
    this.#waiting.set(socket, waiting);
    if (waiting > longestQueue) socket.destroy();
    await before.answered;
    this.#waiting.set(socket, (this.#waiting.get(socket) ?? 1) - 1);
    // A response that never had the connection does not close with it.
    if (socket.destroyed) resolve();
    return !socket.destroyed;
  }

  /** Answers what could not be read, behind the answers that are due, and ends the connection. */
  refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
    const latest = this.#latest.get(socket);
    if (latest === undefined || isDone(latest)) answer(error, socket);
    else if (latest.request.complete) void latest.answered.then(() => answer(error, socket));
    else if (latest.response.headersSent) socket.destroy();
    else answer(error, socket);
  }
}

function isDone({ response }: Latest): boolean {
  return response.writableFinished || response.destroyed;
}

function answer({ code }: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const [status, message] = unreadable[code ?? ""] ?? ["400 Bad Request", "the request is not well-formed HTTP"];
  const body = Buffer.from(`${JSON.stringify({ error: message })}\n`);
  const head = ["Connection: close", "Content-Type: application/json", `Content-Length: ${body.length}`];
  socket.write(`HTTP/1.1 ${status}\r\n${head.join("\r\n")}\r\n\r\n`);
  socket.end(body, () => socket.destroy());
}
