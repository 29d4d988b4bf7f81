import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { headers, maxRequestBytes, type Operation } from "../../client/operations.ts";
import { DoorError, InputError } from "./failures.ts";

/** The connection ended before the request did: nobody is there to answer. */
export class CallerGone extends Error {
  override readonly name = "CallerGone";
}

/**
 * The whole body; empty without one. It may be a plaintext key: the caller wipes it then, and no other copy is left here.
 *
 * @throws {InputError} Over 64 KiB: as soon as that is known, without reading the rest.
 * @throws {CallerGone}
 */
export function readBody(request: IncomingMessage): Promise<Buffer> {
  const announced = request.headers["content-length"];
  if (announced === undefined && request.headers["transfer-encoding"] === undefined) return noBody;
  if (Number(announced) > maxRequestBytes) return Promise.reject(tooLarge());
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    let ended = false;
    request.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length <= maxRequestBytes) return;
      request.pause();
      for (const each of chunks) each.fill(0);
      reject(tooLarge());
    });
    request.on("end", () => {
      ended = true;
      resolve(gather(chunks, length));
    });
    // Also after an error: an incoming message always closes.
    request.on("close", () => {
      if (!ended) reject(new CallerGone());
    });
  });
}

const noBody: Promise<Buffer> = Promise.resolve(Buffer.alloc(0));

/** Most requests come in one chunk; more are joined and wiped. */
function gather(chunks: readonly Buffer[], length: number): Buffer {
  const [only] = chunks;
  if (only !== undefined && chunks.length === 1) return only;
  const body = Buffer.allocUnsafeSlow(length);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
    chunk.fill(0);
  }
  return body;
}

function tooLarge(): InputError {
  return new InputError("", `the request body is over ${maxRequestBytes} bytes`);
}

/**
 * The JSON value of a request: its body, or for an operation whose body is a secret, its `strongroom-input` header.
 *
 * @throws {InputError} For malformed JSON, text that is not UTF-8, and a member named `__proto__` at any depth.
 * @throws {DoorError} `MEDIA_TYPE_INVALID`.
 */
export function inputValue(request: IncomingMessage, operation: Operation, body: Buffer): unknown {
  if (operation.input === "none") {
    if (body.length > 0) throw new InputError("", "this operation takes no body");
    return undefined;
  }
  const wanted = operation.input === "secret" ? "application/octet-stream" : "application/json";
  const [type = ""] = (request.headers["content-type"] ?? "").split(";");
  if (type.trim().toLowerCase() !== wanted)
    throw new DoorError("MEDIA_TYPE_INVALID", `the body of this operation is ${wanted}`);
  return parseJson(operation.input === "secret" ? inputHeader(request) : body);
}

function inputHeader(request: IncomingMessage): Buffer {
  const value = request.headers[headers.input];
  const json = Buffer.from(typeof value === "string" ? value : "", "base64");
  if (json.length === 0 || json.toString("base64") !== value)
    throw new InputError("", `the ${headers.input} header is not the base64 of a JSON object`);
  return json;
}

function parseJson(bytes: Buffer): unknown {
  const text = bytes.toString("utf8");
  let value: unknown;
  try {
    if (!isUtf8(bytes)) throw new SyntaxError("not UTF-8");
    value = JSON.parse(text);
  } catch {
    // The parser's own message would quote the body.
    throw new InputError("", "the request is not JSON in UTF-8");
  }
  // JSON.parse makes an own member of it, which a later copy would turn into a prototype; `\u` may hide the name.
  if (text.includes("__proto__") || text.includes("\\u")) refuseProto(value, "");
  return value;
}

const maxDepth = 16;

function refuseProto(value: unknown, path: string, depth = 0): void {
  if (typeof value !== "object" || value === null) return;
  if (depth > maxDepth) throw new InputError(path, "the request is nested too deep");
  for (const [name, member] of Object.entries(value)) {
    const at = path === "" ? name : `${path}.${name}`;
    if (name === "__proto__") throw new InputError(at, "a member can't be named __proto__");
    refuseProto(member, at, depth + 1);
  }
}
