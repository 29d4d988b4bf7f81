/** Reads keys that were handed to this process, by inherited file descriptor or by path, and checks their form. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

/** Where a key comes from: a path (also `/dev/fd/N`), or the number of an inherited descriptor. */
export type KeySource = { readonly path: string } | { readonly fd: number };

const limitBytes = 128;
const keyBytes = 32;

/**
 * A secp256k1 private key written as 64 hexadecimal digits, with at most one line end.
 *
 * An inherited descriptor is read once and closed. The text is wiped; the 32 bytes are the caller's to wipe.
 *
 * @throws {Error} When it has another form. The message names the source, never the content.
 */
export function readHexKey(source: KeySource, what: string): Buffer {
  const text = readAll(source, what);
  try {
    let end = text.length;
    if (text[end - 1] === 0x0a) end -= 1;
    if (end !== keyBytes * 2) throw new Error(`${what}: expected 64 hexadecimal digits, got ${end} characters`);
    const key = Buffer.allocUnsafeSlow(keyBytes);
    for (let i = 0; i < keyBytes; i += 1)
      key[i] = (hexDigit(text.readUInt8(2 * i), what) << 4) | hexDigit(text.readUInt8(2 * i + 1), what);
    return key;
  } finally {
    text.fill(0);
  }
}

/** A key of exactly 32 raw bytes; the caller's to wipe. @throws {Error} When the length differs. */
export function readRawKey(source: KeySource, what: string): Buffer {
  const bytes = readAll(source, what);
  if (bytes.length === keyBytes) return bytes;
  bytes.fill(0);
  throw new Error(`${what}: expected 32 bytes, got ${bytes.length}`);
}

function hexDigit(character: number, what: string): number {
  if (character >= 0x30 && character <= 0x39) return character - 0x30;
  const letter = character | 0x20;
  if (letter >= 0x61 && letter <= 0x66) return letter - 0x57;
  throw new Error(`${what}: expected 64 hexadecimal digits, got another character among them`);
}

/** Everything the source holds, into memory of its own, up to the limit; a descriptor is closed afterwards. */
function readAll(source: KeySource, what: string): Buffer {
  const fd = "fd" in source ? source.fd : openSync(source.path, "r");
  const bytes = Buffer.allocUnsafeSlow(limitBytes + 1);
  try {
    // A regular file is read from its start: a parent that wrote it through the same descriptor left the offset behind.
    const seekable = fstatSync(fd).isFile();
    let length = 0;
    while (length < bytes.length) {
      const count = readSync(fd, bytes, length, bytes.length - length, seekable ? length : null);
      if (count === 0) break;
      length += count;
    }
    if (length > limitBytes) throw new Error(`${what}: more than ${limitBytes} bytes`);
    const content = Buffer.allocUnsafeSlow(length);
    bytes.copy(content, 0, 0, length);
    return content;
  } finally {
    bytes.fill(0);
    closeSync(fd);
  }
}
