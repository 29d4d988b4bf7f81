import { isUtf8 } from "node:buffer";

/**
 * One JSON value (RFC 8259) read from bytes. A string's `bytes` are its UTF-8 text, escapes resolved, and lie inside the
 * buffer that was read: wiping that buffer wipes every string value, so a secret never becomes a JavaScript string.
 */
export type JsonNode =
  | { readonly kind: "string"; readonly bytes: Buffer }
  | { readonly kind: "number"; readonly text: string }
  | { readonly kind: "literal"; readonly text: "null" | "true" | "false" }
  | { readonly kind: "array"; readonly items: readonly JsonNode[] }
  | { readonly kind: "object"; readonly members: ReadonlyMap<string, JsonNode> };

/** The bytes do not begin with one whole JSON value within the limits. */
export class JsonSyntaxError extends Error {
  override readonly name = "JsonSyntaxError";
}

/** How deep arrays and objects may be nested. */
export const maxJsonDepth = 16;

const quote = 0x22;
const backslash = 0x5c;
const numberPattern = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const shortEscapes = new Map([
  [0x22, 0x22],
  [0x5c, 0x5c],
  [0x2f, 0x2f],
  [0x62, 0x08],
  [0x66, 0x0c],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
]);

/**
 * Reads the JSON value at the start of `body` and ignores what follows it (FISCO's JSON-RPC server does so too).
 * Strict: no comments, no control characters in strings, no lone surrogates, well-formed UTF-8, no member name twice.
 * Changes `body`: escapes are resolved in place.
 *
 * @throws {JsonSyntaxError}
 */
export function readJsonPrefix(body: Buffer): JsonNode {
  return new JsonReader(body).value(0);
}

/**
 * Reads bytes that are one JSON value and nothing else but white space, as strictly as {@link readJsonPrefix}.
 *
 * @throws {JsonSyntaxError}
 */
export function readJson(body: Buffer): JsonNode {
  const reader = new JsonReader(body);
  const value = reader.value(0);
  reader.end();
  return value;
}

class JsonReader {
  readonly #body: Buffer;
  #at = 0;

  constructor(body: Buffer) {
    this.#body = body;
  }

  value(depth: number): JsonNode {
    const first = this.#skipSpace();
    if (first === quote) return { kind: "string", bytes: this.#string() };
    if (first === 0x7b) return this.#object(depth + 1);
    if (first === 0x5b) return this.#array(depth + 1);
    if (first === 0x2d || (first >= 0x30 && first <= 0x39)) return this.#number();
    for (const text of ["null", "true", "false"] as const)
      if (this.#body.toString("latin1", this.#at, this.#at + text.length) === text) {
        this.#at += text.length;
        return { kind: "literal", text };
      }
    throw new JsonSyntaxError(`no JSON value at byte ${this.#at}`);
  }

  /** Nothing but white space is left. */
  end(): void {
    for (; this.#at < this.#body.length; this.#at += 1)
      if (!isSpace(this.#body[this.#at])) throw new JsonSyntaxError(`something follows the value at byte ${this.#at}`);
  }

  #object(depth: number): JsonNode {
    this.#enter(depth);
    const members = new Map<string, JsonNode>();
    if (this.#skipSpace() === 0x7d) {
      this.#at += 1;
      return { kind: "object", members };
    }
    for (;;) {
      if (this.#skipSpace() !== quote) throw new JsonSyntaxError(`no member name at byte ${this.#at}`);
      const name = this.#string().toString("utf8");
      if (members.has(name)) throw new JsonSyntaxError(`a member name occurs twice before byte ${this.#at}`);
      if (this.#skipSpace() !== 0x3a) throw new JsonSyntaxError(`no colon at byte ${this.#at}`);
      this.#at += 1;
      members.set(name, this.value(depth));
      if (!this.#more(0x7d)) return { kind: "object", members };
    }
  }

  #array(depth: number): JsonNode {
    this.#enter(depth);
    const items: JsonNode[] = [];
    if (this.#skipSpace() === 0x5d) {
      this.#at += 1;
      return { kind: "array", items };
    }
    for (;;) {
      items.push(this.value(depth));
      if (!this.#more(0x5d)) return { kind: "array", items };
    }
  }

  #enter(depth: number): void {
    if (depth > maxJsonDepth) throw new JsonSyntaxError(`nested deeper than ${maxJsonDepth} at byte ${this.#at}`);
    this.#at += 1;
  }

  /** True after a comma, false after `close`. */
  #more(close: number): boolean {
    const next = this.#skipSpace();
    if (next !== 0x2c && next !== close) throw new JsonSyntaxError(`no comma at byte ${this.#at}`);
    this.#at += 1;
    return next === 0x2c;
  }

  #number(): JsonNode {
    const start = this.#at;
    while (isNumberByte(this.#body[this.#at])) this.#at += 1;
    const text = this.#body.toString("latin1", start, this.#at);
    if (!numberPattern.test(text)) throw new JsonSyntaxError(`no JSON number at byte ${start}`);
    return { kind: "number", text };
  }

  /** From the opening quote to behind the closing one. */
  #string(): Buffer {
    const start = this.#at + 1;
    let end = start;
    let escaped = false;
    for (;;) {
      const byte = this.#body[end];
      if (byte === undefined || byte < 0x20) throw new JsonSyntaxError(`the string at byte ${start} does not end`);
      if (byte === quote) break;
      if (byte === backslash) {
        escaped = true;
        end += 1;
      }
      end += 1;
    }
    this.#at = end + 1;
    const span = this.#body.subarray(start, end);
    if (!isUtf8(span)) throw new JsonSyntaxError(`the string at byte ${start} is not UTF-8`);
    return escaped ? resolveEscapes(span) : span;
  }

  #skipSpace(): number {
    for (;;) {
      const byte = this.#body[this.#at];
      if (byte === undefined) throw new JsonSyntaxError("the text ends inside a JSON value");
      if (!isSpace(byte)) return byte;
      this.#at += 1;
    }
  }
}

/** In place: what an escape stands for is never longer than the escape. */
function resolveEscapes(span: Buffer): Buffer {
  let to = 0;
  for (let from = 0; from < span.length; ) {
    const byte = span[from] ?? 0;
    if (byte !== backslash) {
      span[to++] = byte;
      from += 1;
      continue;
    }
    const kind = span[from + 1] ?? 0;
    if (kind !== 0x75) {
      const short = shortEscapes.get(kind);
      if (short === undefined) throw new JsonSyntaxError("an escape is not one of JSON's");
      span[to++] = short;
      from += 2;
      continue;
    }
    const { codePoint, length } = unicodeEscape(span, from);
    from += length;
    to += span.write(String.fromCodePoint(codePoint), to, "utf8");
  }
  const text = span.subarray(0, to);
  span.fill(0, to);
  return text;
}

function unicodeEscape(span: Buffer, at: number): { codePoint: number; length: number } {
  const high = hexUnit(span, at);
  if (high < 0xd800 || high > 0xdfff) return { codePoint: high, length: 6 };
  const low = span[at + 6] === backslash && span[at + 7] === 0x75 ? hexUnit(span, at + 6) : 0;
  if (high > 0xdbff || low < 0xdc00 || low > 0xdfff) throw new JsonSyntaxError("an escape is half of a surrogate pair");
  return { codePoint: 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00), length: 12 };
}

function hexUnit(span: Buffer, at: number): number {
  const digits = span.toString("latin1", at + 2, at + 6);
  if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw new JsonSyntaxError("an escape has not four hex digits");
  return Number.parseInt(digits, 16);
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function isNumberByte(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x2d || byte === 0x2b || byte === 0x2e || (byte | 0x20) === 0x65;
}
