/** What is compressed somewhere in a file: members of gzip and zlib, and blocks of snappy as InfluxDB writes them. */
import { constants, inflateRawSync, inflateSync } from "node:zlib";

const mostUnpackedBytes = 4 * 1024 * 1024;
/** Shorter ones hold no text that is looked for, and are met by chance everywhere. */
const leastUnpackedBytes = 12;
const leastPackedBytes = 8;
/** Unpack what there is of a stream that ends early. */
const lenient = { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: mostUnpackedBytes } as const;

/** @returns Each run, unpacked, in the order of their places. */
export function* packedRuns(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at + leastPackedBytes <= bytes.length; at++) {
    const run = deflated(bytes, at) ?? snappyBlock(bytes, at);
    if (run !== undefined) yield run;
  }
}

/** RFC 1952: magic and method. RFC 1950: method 8 with a window, and a check over the two bytes. */
function deflated(bytes: Buffer, at: number): Buffer | undefined {
  const pair = bytes.readUInt16BE(at);
  const isGzip = pair === 0x1f8b && bytes[at + 2] === 8;
  const isZlib = (pair & 0x8f00) === 0x0800 && pair % 31 === 0 && (pair & 0x20) === 0;
  if (!isGzip && !isZlib) return undefined;
  try {
    const run = isGzip
      ? inflateRawSync(bytes.subarray(endOfGzipHeader(bytes, at)), lenient)
      : inflateSync(bytes.subarray(at), lenient);
    return run.length >= leastUnpackedBytes ? run : undefined;
  } catch {
    return undefined;
  }
}

/** Ten bytes, and by the flags an extra field, a name, a comment and a check (RFC 1952, 2.3). */
function endOfGzipHeader(bytes: Buffer, at: number): number {
  const flags = bytes[at + 3] ?? 0;
  let end = at + 10;
  if ((flags & 4) !== 0) end += 2 + bytes.readUInt16LE(end);
  for (const flag of [8, 16]) if ((flags & flag) !== 0) end = bytes.indexOf(0, end) + 1 || bytes.length;
  return (flags & 2) === 0 ? end : end + 2;
}

/** The raw format of snappy has no magic: a block counts where it unpacks to exactly the length that it says. */
function snappyBlock(bytes: Buffer, at: number): Buffer | undefined {
  let length = 0;
  let from = at;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[from];
    if (byte === undefined || shift > 21) return undefined;
    from += 1;
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  if (length < leastUnpackedBytes || length > mostUnpackedBytes) return undefined;
  // A block begins with a literal; one that is longer than what is left, or than the whole, is met by chance.
  const tag = bytes[from] ?? 1;
  if ((tag & 3) !== 0) return undefined;
  const literal = tag >> 2 < 60 ? (tag >> 2) + 1 : 60;
  if (literal > length || from + literal > bytes.length) return undefined;
  return unpackedSnappy(bytes, from, length);
}

const growBytes = 4096;

function unpackedSnappy(bytes: Buffer, start: number, length: number): Buffer | undefined {
  let output = Buffer.allocUnsafe(Math.min(length, growBytes));
  let [from, filled] = [start, 0];
  const room = (more: number): boolean => {
    if (filled + more > length) return false;
    if (filled + more <= output.length) return true;
    const larger = Buffer.allocUnsafe(Math.min(length, 2 * (filled + more)));
    output.copy(larger, 0, 0, filled);
    output = larger;
    return true;
  };
  while (filled < length) {
    const tag = bytes[from];
    if (tag === undefined) return undefined;
    from += 1;
    const kind = tag & 3;
    if (kind === 0) {
      const extra = (tag >> 2) - 59;
      let count = (tag >> 2) + 1;
      if (extra > 0) {
        if (from + extra > bytes.length) return undefined;
        count = bytes.readUIntLE(from, extra) + 1;
        from += extra;
      }
      if (from + count > bytes.length || !room(count)) return undefined;
      bytes.copy(output, filled, from, from + count);
      [from, filled] = [from + count, filled + count];
      continue;
    }
    const offsetBytes = kind === 3 ? 4 : kind;
    if (from + offsetBytes > bytes.length) return undefined;
    const low = bytes.readUIntLE(from, offsetBytes);
    const offset = kind === 1 ? ((tag >> 5) << 8) | low : low;
    const count = kind === 1 ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1;
    from += offsetBytes;
    if (offset === 0 || offset > filled || !room(count)) return undefined;
    for (let i = 0; i < count; i++) output[filled + i] = output[filled + i - offset] ?? 0;
    filled += count;
  }
  return output.subarray(0, filled);
}
