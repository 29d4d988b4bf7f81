/** Hexadecimal between Buffers, so that private keys never pass through a JavaScript string, which can't be wiped. */

/** Bytes of hexadecimal text in lower or upper case; undefined for anything else. The caller wipes the result. */
export function decodeHex(text: Uint8Array): Buffer | undefined {
  if (text.length % 2 !== 0) return undefined;
  const bytes = Buffer.alloc(text.length / 2);
  for (let at = 0; at < text.length; at += 2) {
    const high = nibble(text[at]);
    const low = nibble(text[at + 1]);
    if (high === undefined || low === undefined) {
      bytes.fill(0);
      return undefined;
    }
    bytes[at >> 1] = (high << 4) | low;
  }
  return bytes;
}

/** Lower-case hexadecimal text of bytes. The digits are computed, not looked up. The caller wipes the result. */
export function encodeHex(bytes: Uint8Array): Buffer {
  const text = Buffer.alloc(bytes.length * 2);
  let at = 0;
  for (const byte of bytes) {
    text[at] = digit(byte >> 4);
    text[at + 1] = digit(byte & 15);
    at += 2;
  }
  return text;
}

function nibble(character = 0): number | undefined {
  if (character >= 0x30 && character <= 0x39) return character - 0x30;
  const lower = character | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : undefined;
}

function digit(value: number): number {
  return value + 0x30 + (((9 - value) >> 8) & 39);
}
