import { type JsonNode, JsonSyntaxError, readJsonPrefix } from "./json-bytes.ts";

/**
 * The JSON-RPC 2.0 dialect of FISCO BCOS's Key Manager (libjson-rpc-cpp 0.7, JsonCpp 1.7): requests from bytes, answers
 * to the exact bytes that the original writes. No I/O; both the key manager's door and a node's sidecar speak it.
 */
export type FiscoMethod = "decDataKey" | "encDataKey" | "encWithCipherKey" | "sayHello";

/** FISCO's two ciphers: AES-256 with Keccak-256, or SM4 with SM3 (`-g`). */
export type FiscoMode = "standard" | "sm";

/** One call of a request. Parameters are views into the request's body, which the caller wipes when it has answered. */
export type FiscoCall =
  | { readonly id: JsonText; readonly method: FiscoMethod; readonly params: readonly Buffer[] }
  | { readonly id: JsonText; readonly method: null; readonly error: RpcErrorName };

/** A piece of JSON as it is echoed: `83`, `"abc"`, `null`. */
export type JsonText = string;

export interface FiscoRequest {
  readonly batch: boolean;
  readonly calls: readonly FiscoCall[];
}

/** Largest body of a request: a whole key file in base64 fits; `decDataKey` alone needs no more than the smaller one. */
export const maxBodyBytes = { withOperatorCalls: 1 << 20, nodesOnly: 64 << 10 } as const;

/** Most calls in one batch. */
export const maxBatchCalls = 64;

/** Codes and messages of libjson-rpc-cpp; all are sent with HTTP status 200. */
export const rpcErrors = {
  parse: { code: -32700, message: "JSON_PARSE_ERROR: The JSON-Object is not JSON-Valid" },
  invalidRequest: {
    code: -32600,
    message: "INVALID_JSON_REQUEST: The JSON sent is not a valid JSON-RPC Request object",
  },
  methodNotFound: {
    code: -32601,
    message: "METHOD_NOT_FOUND: The method being requested is not available on this server",
  },
  invalidParams: {
    code: -32602,
    message: "INVALID_PARAMS: Invalid method parameters (invalid name and/or type) recognised",
  },
  notification: {
    code: -32604,
    message: "PROCEDURE_IS_METHOD: The requested notification is declared as a method",
  },
} as const;
export type RpcErrorName = keyof typeof rpcErrors;

/**
 * The `info` of a failed decryption, word for word as Crypto++ (standard) and libstdc++ (sm) leave it. Nothing in it
 * depends on a key: `length` follows from the request alone.
 */
export const decryptionFailures = {
  standard: {
    padding: "StreamTransformationFilter: invalid PKCS #7 block padding found",
    length: "StreamTransformationFilter: ciphertext length is not a multiple of block size",
  },
  sm: { padding: "vector::_M_default_append", length: "vector::_M_default_append" },
} as const;

/** Parameters of each method: how many strings by position, or the one name that is asked for. */
const parameters: Readonly<Record<FiscoMethod, { readonly count: number; readonly name?: string }>> = {
  decDataKey: { count: 1 },
  encDataKey: { count: 1 },
  encWithCipherKey: { count: 2 },
  sayHello: { count: 1, name: "name" },
};

/**
 * Reads a request body. Never throws: what is wrong with a body or with one call of a batch is in the calls, as the error
 * that the original answers. Changes `body` (escapes are resolved in place).
 */
export function readFiscoRequest(body: Buffer): FiscoRequest {
  let root: JsonNode;
  try {
    root = readJsonPrefix(body);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    return { batch: false, calls: [{ id: "null", method: null, error: "parse" }] };
  }
  if (root.kind !== "array") return { batch: false, calls: [readCall(root)] };
  if (root.items.length === 0 || root.items.length > maxBatchCalls)
    return { batch: false, calls: [{ id: "null", method: null, error: "invalidRequest" }] };
  return { batch: true, calls: root.items.map(readCall) };
}

function readCall(node: JsonNode): FiscoCall {
  if (node.kind !== "object") return { id: "null", method: null, error: "invalidRequest" };
  const idNode = node.members.get("id");
  const id = idNode === undefined ? undefined : idText(idNode);
  const fail = (error: RpcErrorName): FiscoCall => ({ id: id ?? "null", method: null, error });
  const version = node.members.get("jsonrpc");
  const methodNode = node.members.get("method");
  const params = node.members.get("params");
  if (
    methodNode?.kind !== "string" ||
    version?.kind !== "string" ||
    version.bytes.toString("latin1") !== "2.0" ||
    (idNode !== undefined && id === undefined) ||
    !(params === undefined || params.kind === "array" || params.kind === "object" || isNull(params))
  )
    return fail("invalidRequest");
  const method = methodNode.bytes.toString("utf8");
  if (!isFiscoMethod(method)) return fail("methodNotFound");
  if (id === undefined) return fail("notification");
  const values = readParameters(method, params);
  return values === undefined ? fail("invalidParams") : { id, method, params: values };
}

function readParameters(method: FiscoMethod, params: JsonNode | undefined): Buffer[] | undefined {
  const { count, name } = parameters[method];
  let nodes: readonly (JsonNode | undefined)[] = [];
  if (name !== undefined) {
    if (params?.kind !== "object") return undefined;
    nodes = [params.members.get(name)];
  } else {
    if (params?.kind !== "array" || params.items.length !== count) return undefined;
    nodes = params.items;
  }
  const values: Buffer[] = [];
  for (const node of nodes) {
    if (node?.kind !== "string") return undefined;
    values.push(node.bytes);
  }
  return values;
}

/** A string, null, or an integer that JsonCpp holds (-2^63 to 2^64 - 1), kept digit for digit; else undefined. */
function idText(node: JsonNode): JsonText | undefined {
  if (node.kind === "string") return quoteJson(node.bytes.toString("utf8"));
  if (node.kind === "number") {
    if (/^(?:0|[1-9][0-9]{0,14})$/.test(node.text)) return node.text;
    if (!/^-?[0-9]{1,20}$/.test(node.text)) return undefined;
    const value = BigInt(node.text);
    return value >= -(2n ** 63n) && value < 2n ** 64n ? value.toString() : undefined;
  }
  return isNull(node) ? "null" : undefined;
}

function isNull(node: JsonNode): boolean {
  return node.kind === "literal" && node.text === "null";
}

function isFiscoMethod(method: string): method is FiscoMethod {
  return Object.hasOwn(parameters, method);
}

/**
 * `{"id":…,"jsonrpc":"2.0","result":{"dataKey":…,"error":…,"info":…}}`, members sorted, no spaces.
 * `dataKey`: ASCII text, hex in every use; stays the caller's to wipe.
 */
export function writeResult(id: JsonText, dataKey: Uint8Array | string, error: 0 | 1, info: string): Buffer {
  const before = `{"id":${id},"jsonrpc":"2.0","result":{"dataKey":"`;
  const after = `","error":${error},"info":${quoteJson(info)}}}`;
  if (typeof dataKey === "string") return Buffer.from(before + dataKey + after);
  const head = Buffer.byteLength(before);
  const answer = Buffer.allocUnsafeSlow(head + dataKey.length + Buffer.byteLength(after));
  answer.write(before, 0);
  answer.set(dataKey, head);
  answer.write(after, head + dataKey.length);
  return answer;
}

/** `sayHello`'s answer. */
export function writeGreeting(id: JsonText, name: Buffer): Buffer {
  return Buffer.from(`{"id":${id},"jsonrpc":"2.0","result":${quoteJson(`Hello: ${name.toString("utf8")}`)}}`);
}

export function writeError(id: JsonText, error: RpcErrorName): Buffer {
  const { code, message } = rpcErrors[error];
  return Buffer.from(`{"error":{"code":${code},"message":${quoteJson(message)}},"id":${id},"jsonrpc":"2.0"}`);
}

/** The whole body: the answers of a request in the order of its calls, and the line end. Wipes `answers`. */
export function joinAnswers(batch: boolean, answers: readonly Buffer[]): Buffer {
  const size = answers.reduce((sum, answer) => sum + answer.length + 1, batch ? 2 : 0);
  const body = Buffer.allocUnsafeSlow(size);
  let at = batch ? body.write("[") : 0;
  for (const [index, answer] of answers.entries()) {
    if (index > 0) at += body.write(",", at);
    body.set(answer, at);
    at += answer.length;
    answer.fill(0);
  }
  body.write(batch ? "]\n" : "\n", at);
  return body;
}

/**
 * Hex text as the original reads it: an optional `0x`, either case, an odd first nibble alone; anything else reads as no
 * bytes at all. Returns lower-case hex of whole bytes.
 */
export function readHexParameter(text: Buffer): string {
  const digits = text.toString("latin1", text[0] === 0x30 && text[1] === 0x78 ? 2 : 0);
  if (!/^[0-9a-fA-F]*$/.test(digits)) return "";
  return (digits.length % 2 === 1 ? `0${digits}` : digits).toLowerCase();
}

const hexDigits = Buffer.from("0123456789abcdef");

/** Lower-case hex as bytes, without a string in between. The caller wipes it. */
export function encodeHexBytes(bytes: Uint8Array): Buffer {
  const text = Buffer.allocUnsafeSlow(bytes.length * 2);
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index] ?? 0;
    text[2 * index] = hexDigits[byte >> 4] ?? 0;
    text[2 * index + 1] = hexDigits[byte & 15] ?? 0;
  }
  return text;
}

/** A JSON string as JsonCpp writes it: like JSON.stringify, but with upper-case digits in `\u001F`. */
function quoteJson(text: string): JsonText {
  return JSON.stringify(text).replace(/\\(?:u00[0-9a-f]{2}|.)/g, (escaped) =>
    escaped.length > 2 ? `\\u${escaped.slice(2).toUpperCase()}` : escaped,
  );
}
