import { connect } from "node:net";

/** Sends bytes as they are over a connection of its own and returns the one answer, byte for byte ("" when closed). */
export function rawExchange(port: number, request: string | Uint8Array, timeoutMs = 20_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port });
    let answer = Buffer.alloc(0);
    const done = () => {
      socket.destroy();
      resolve(answer.toString("utf8"));
    };
    socket.setTimeout(timeoutMs, () => {
      socket.destroy();
      reject(new Error(`no whole answer in ${timeoutMs} ms, got ${JSON.stringify(answer.toString("latin1"))}`));
    });
    socket.on("data", (piece: Buffer) => {
      answer = Buffer.concat([answer, piece]);
      if (isWhole(answer)) done();
    });
    socket.on("close", done);
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "ECONNRESET" && error.code !== "EPIPE") reject(error);
    });
    socket.write(request);
  });
}

function isWhole(answer: Buffer): boolean {
  const end = answer.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const length = /\r\ncontent-length: ([0-9]+)/i.exec(answer.toString("latin1", 0, end))?.[1];
  return length !== undefined && answer.length >= end + 4 + Number(length);
}

/** The bytes that a FISCO BCOS node sends (Boost.Beast, header order included); the body ends in a line end. */
export function nodeRequest(port: number, method: string, params: readonly string[]): string {
  return post(port, `${JSON.stringify({ id: 83, jsonrpc: "2.0", method, params })}\n`);
}

/** A body in the node's POST. */
export function post(port: number, body: string): string {
  const head = `POST / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: */*\r\nContent-Type: application/json\r\n`;
  return `${head}Accept-Charset: utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** The JSON of an answer's body. */
export function bodyOf(answer: string): unknown {
  return JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4));
}

export interface FiscoResult {
  readonly dataKey: string;
  readonly error: number;
  readonly info: string;
}

/** Calls one method as a node does and returns `result`. */
export async function fiscoCall(port: number, method: string, ...params: readonly string[]): Promise<FiscoResult> {
  const body = bodyOf(await rawExchange(port, nodeRequest(port, method, params))) as { result?: FiscoResult };
  if (body.result === undefined) throw new Error(`no result: ${JSON.stringify(body)}`);
  return body.result;
}
