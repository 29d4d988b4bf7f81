import { CryptoError } from "./errors.ts";

/**
 * What a wrap is bound to: names and values such as `node`, `network`, `purpose`. A wrap opens only under an equal map.
 * Names that begin `strongroom:` are set by the server, never by a caller.
 */
export type Context = Readonly<Record<string, string>>;

export const serverContextPrefix = "strongroom:";
const maxEncodedBytes = 8192;
const maxEntries = 64;
const maxNameBytes = 256;

/**
 * The one byte string of a context: for each name in byte order,
 *
 *     u32 length of name ‖ name ‖ u32 length of value ‖ value      (lengths big-endian, text in UTF-8)
 *
 * Byte order is `Buffer.compare`, not JavaScript's order of UTF-16 units. An empty context is zero bytes.
 *
 * @throws {CryptoError} `CONTEXT_INVALID` for ill-formed UTF-16, an empty name, a name over 256 bytes, over 64 entries
 *   or over 8192 bytes in all.
 */
export function encodeContext(context: Context): Buffer {
  const entries = Object.entries(context);
  if (entries.length > maxEntries)
    throw invalid(`the context has ${entries.length} entries, the most is ${maxEntries}`);
  const pairs = entries.map(([name, value]) => {
    if (typeof value !== "string") throw invalid(`the context value of ${JSON.stringify(name)} is not a string`);
    if (!name.isWellFormed() || !value.isWellFormed())
      throw invalid("a context name or value is not well-formed Unicode");
    const nameBytes = Buffer.from(name);
    if (nameBytes.length === 0 || nameBytes.length > maxNameBytes)
      throw invalid(`a context name has ${nameBytes.length} bytes, allowed are 1 to ${maxNameBytes}`);
    return [nameBytes, Buffer.from(value)] as const;
  });
  pairs.sort(([left], [right]) => Buffer.compare(left, right));
  const encoded = Buffer.concat(pairs.flatMap(([name, value]) => [u32(name.length), name, u32(value.length), value]));
  if (encoded.length > maxEncodedBytes)
    throw invalid(`the context has ${encoded.length} bytes, the most is ${maxEncodedBytes}`);
  return encoded;
}

/** True when every name and value of `part` is in `whole`. */
export function contextContains(whole: Context, part: Context): boolean {
  return Object.entries(part).every(([name, value]) => Object.hasOwn(whole, name) && whole[name] === value);
}

/** True when both maps hold the same names and values. */
export function contextEquals(left: Context, right: Context): boolean {
  return Object.keys(left).length === Object.keys(right).length && contextContains(left, right);
}

function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function invalid(message: string): CryptoError {
  return new CryptoError("CONTEXT_INVALID", message);
}
