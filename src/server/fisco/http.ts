import type { IncomingMessage, ServerResponse } from "node:http";

/** An answer over HTTP as libmicrohttpd under libjson-rpc-cpp writes it; header order is part of it. */
export interface HttpAnswer {
  readonly status: number;
  /** Between `Date` (and `Connection`) and `Content-Length`, in this order. */
  readonly headers: readonly string[];
  readonly body: Buffer;
}

const jsonHeaders = ["Content-Type", "application/json", "Access-Control-Allow-Origin", "*"] as const;

export function jsonAnswer(body: Buffer): HttpAnswer {
  return { status: 200, headers: jsonHeaders, body };
}

/** Fixed answers. A body that is too large, and a web page's request, have none in the original: these two are ours. */
export const fixedAnswers = {
  methodNotAllowed: { status: 405, headers: jsonHeaders, body: Buffer.from("Not allowed HTTP Method") },
  options: {
    status: 200,
    headers: [
      "Allow",
      "POST, OPTIONS",
      "Access-Control-Allow-Origin",
      "*",
      "Access-Control-Allow-Headers",
      "origin, content-type, accept",
      "DAV",
      "1",
    ],
    body: Buffer.alloc(0),
  },
  tooLarge: { status: 413, headers: ["Content-Type", "text/plain"], body: Buffer.from("The request is too large\n") },
  fromWebPage: {
    status: 403,
    headers: ["Content-Type", "text/plain"],
    body: Buffer.from("Requests from web pages are refused\n"),
  },
} as const satisfies Record<string, HttpAnswer>;

/**
 * Sends an answer and wipes its body once it has left (fixed answers stay). `last` closes the connection after it.
 */
export function sendAnswer(request: IncomingMessage, response: ServerResponse, answer: HttpAnswer, last = false): void {
  const close = last || request.httpVersionMinor === 0;
  response.sendDate = false;
  if (close) response.shouldKeepAlive = false;
  else response.removeHeader("Connection");
  const headers = ["Date", httpDate(), ...(close ? ["Connection", "close"] : []), ...answer.headers];
  response.writeHead(answer.status, [...headers, "Content-Length", String(answer.body.length)]);
  if (answer.headers === jsonHeaders && answer.status === 200) {
    const { body } = answer;
    response.once("close", () => body.fill(0));
  }
  response.end(answer.body);
}

let dateText = "";
let dateSecond = -1;

function httpDate(): string {
  const now = Date.now();
  const second = Math.floor(now / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(now).toUTCString();
  }
  return dateText;
}

/** The body, or undefined when it is longer than `maxBytes`. The caller wipes it; pieces are wiped here. */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) return Promise.resolve(undefined);
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let size = 0;
    const wipe = () => {
      for (const piece of pieces) piece.fill(0);
    };
    request.on("data", (piece: Buffer) => {
      size += piece.length;
      pieces.push(piece);
      if (size <= maxBytes) return;
      wipe();
      request.removeAllListeners("data");
      request.resume();
      resolve(undefined);
    });
    request.on("end", () => {
      const [only] = pieces;
      if (only !== undefined && pieces.length === 1) return resolve(only);
      const body = Buffer.allocUnsafeSlow(size);
      let at = 0;
      for (const piece of pieces) {
        body.set(piece, at);
        at += piece.length;
      }
      wipe();
      resolve(body);
    });
    request.on("close", () => {
      if (request.complete) return;
      wipe();
      reject(new Error("the peer closed the connection inside a request"));
    });
    request.on("error", reject);
  });
}
