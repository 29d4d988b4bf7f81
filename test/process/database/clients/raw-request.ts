/** Requests as the bytes that go over the connection. */
import { connect } from "node:net";

/** A text as the bytes of its UTF-8, one character each; what is not text stays as it is. */
export function latin1Bytes(text: string): string {
  return Buffer.from(text).toString("latin1");
}

/**
 * Sends bytes over a connection of their own and gives all that comes back until it ends; the rest of a connection that a server
 * keeps open is cut off.
 *
 * @param raw - One character per byte.
 */
export function sendRaw(port: number, raw: string, withinMs = 5_000): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const chunks: Buffer[] = [];
  const socket = connect(port, "127.0.0.1");
  const late = setTimeout(() => socket.destroy(), withinMs);
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => {});
  socket.on("close", () => {
    clearTimeout(late);
    resolve(Buffer.concat(chunks).toString("utf8"));
  });
  socket.write(raw, "latin1");
  return promise;
}
