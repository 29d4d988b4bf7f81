import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { headers, maxRequestBytes, type Operation } from "../../client/operations.ts";
import { BodyTooLarge, readRequestBody } from "../request-body.ts";
import { DoorError, InputError } from "./failures.ts";

/**
 * The whole body; empty without one. It may be a plaintext key: the caller wipes it then.
 *
 * @throws {InputError} Over 64 KiB: as soon as that is known, without reading the rest.
 * @throws {CallerGone}
 */
export function readBody(request: IncomingMessage): Promise<Buffer> {
  return readRequestBody(request, maxRequestBytes).catch((error: unknown) => {
    if (!(error instanceof BodyTooLarge)) throw error;
    throw new InputError("", `the request body is over ${maxRequestBytes} bytes`);
  });
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
