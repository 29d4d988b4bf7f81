import { type IncomingMessage, request } from "node:http";
import type { FiscoMethod } from "./fisco-json-rpc.ts";
import { type JsonNode, JsonSyntaxError, readJsonPrefix } from "./json-bytes.ts";

/** Every way a call to a FISCO key manager can fail. */
export const fiscoClientErrors = {
  UNREACHABLE: { exit: 4, meaning: "the key manager does not answer" },
  BAD_ANSWER: { exit: 1, meaning: "the answer is not one of a FISCO key manager" },
  REFUSED: { exit: 3, meaning: "the key manager refused" },
} as const;
export type FiscoClientErrorCode = keyof typeof fiscoClientErrors;

export class FiscoClientError extends Error {
  override readonly name = "FiscoClientError";
  readonly code: FiscoClientErrorCode;

  constructor(code: FiscoClientErrorCode, message: string = fiscoClientErrors[code].meaning, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }

  /** The command line's exit code for this failure. */
  get exitCode(): number {
    return fiscoClientErrors[this.code].exit;
  }
}

export interface FiscoServer {
  readonly host: string;
  readonly port: number;
  /** @defaultValue `30_000` */
  readonly timeoutMs?: number;
}

const maxAnswerBytes = 4 << 20;

/**
 * Calls one method of a key manager, ours or the original, over its plain HTTP, and returns `result.dataKey` as ASCII
 * bytes. `params` are UTF-8 and stay the caller's to wipe; so does the result.
 *
 * @throws {FiscoClientError}
 */
export async function callFisco(
  server: FiscoServer,
  method: FiscoMethod,
  params: readonly Uint8Array[],
): Promise<Buffer> {
  const body = requestBody(method, params);
  try {
    const answer = await exchange(server, body);
    try {
      return readDataKey(answer);
    } finally {
      answer.fill(0);
    }
  } finally {
    body.fill(0);
  }
}

/** `{"id":83,…}` as a node writes it, from bytes that never become a string. */
function requestBody(method: FiscoMethod, params: readonly Uint8Array[]): Buffer {
  const quoted = params.map(quoteBytes);
  const pieces: Uint8Array[] = [Buffer.from(`{"id":83,"jsonrpc":"2.0","method":"${method}","params":[`)];
  for (const [index, text] of quoted.entries())
    pieces.push(Buffer.from(index === 0 ? '"' : ',"'), text, Buffer.from('"'));
  pieces.push(Buffer.from("]}\n"));
  const body = Buffer.concat(pieces);
  for (const text of quoted) text.fill(0);
  return body;
}

function quoteBytes(text: Uint8Array): Buffer {
  const quoted = Buffer.alloc(text.length * 6);
  let at = 0;
  for (const byte of text) {
    if (byte === 0x22 || byte === 0x5c) quoted[at++] = 0x5c;
    if (byte < 0x20) at += quoted.write(`\\u00${byte.toString(16).padStart(2, "0")}`, at, "latin1");
    else quoted[at++] = byte;
  }
  return quoted.subarray(0, at);
}

function exchange({ host, port, timeoutMs = 30_000 }: FiscoServer, body: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => {
      if (cause instanceof FiscoClientError) return reject(cause);
      const why = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : "";
      reject(new FiscoClientError("UNREACHABLE", `no key manager answers at ${host}:${port}${why}`, cause));
    };
    const headers = { "Content-Type": "application/json", "Content-Length": body.length };
    let isAnswered = false;
    const sent = request({ host, port, method: "POST", path: "/", headers, agent: false }, (answer) => {
      isAnswered = true;
      readAnswer(answer).then(resolve, fail);
    });
    const timer = setTimeout(() => sent.destroy(new Error("no answer in time")), timeoutMs);
    sent.on("close", () => {
      clearTimeout(timer);
      // Without an answer and without an error: a server that "switches protocols" ends the connection so.
      if (!isAnswered) fail(new Error("it ended the connection"));
    });
    sent.on("error", fail);
    sent.end(body);
  });
}

async function readAnswer(answer: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of answer as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > maxAnswerBytes) throw new FiscoClientError("BAD_ANSWER", "the answer is longer than 4 MiB");
    pieces.push(piece);
  }
  if (answer.statusCode !== 200)
    throw new FiscoClientError("BAD_ANSWER", `the answer has HTTP status ${answer.statusCode}, not 200`);
  const body = Buffer.concat(pieces);
  for (const piece of pieces) piece.fill(0);
  return body;
}

/** A copy of `result.dataKey`. */
function readDataKey(answer: Buffer): Buffer {
  let root: JsonNode;
  try {
    root = readJsonPrefix(answer);
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw new FiscoClientError("BAD_ANSWER", "the answer is not JSON", error);
    throw error;
  }
  const result = member(root, "result");
  const failure = member(member(root, "error"), "message");
  if (failure?.kind === "string")
    throw new FiscoClientError("REFUSED", `the key manager answers: ${shown(failure.bytes)}`);
  const dataKey = member(result, "dataKey");
  const error = member(result, "error");
  if (dataKey?.kind !== "string" || error?.kind !== "number") throw new FiscoClientError("BAD_ANSWER");
  if (error.text === "0") return Buffer.from(dataKey.bytes);
  const info = member(result, "info");
  const text = info?.kind === "string" ? shown(info.bytes) : "no reason";
  throw new FiscoClientError("REFUSED", `the key manager answers error ${error.text}: ${text}`);
}

function member(node: JsonNode | undefined, name: string): JsonNode | undefined {
  return node?.kind === "object" ? node.members.get(name) : undefined;
}

/** Another program's text on one line of a terminal. */
function shown(bytes: Buffer): string {
  return bytes.toString("utf8", 0, 300).replace(/\p{C}/gu, " ");
}
