/**
 * Base64 (RFC 4648 section 4) between Buffers, so that private keys never pass through a JavaScript string, which can't
 * be wiped. The digits are computed, not looked up: no table index depends on a secret.
 */

/** Encodes with padding and without line breaks. The caller wipes the result when the input is secret. */
export function encodeBase64(bytes: Uint8Array): Buffer {
  const text = Buffer.alloc(Math.ceil(bytes.length / 3) * 4, "=");
  let at = 0;
  for (let i = 0; i < bytes.length; i += 3) {
    const group = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    const digits = Math.min(3, bytes.length - i) + 1;
    for (let digit = 0; digit < digits; digit++) text[at + digit] = digitOf((group >> (18 - 6 * digit)) & 63);
    at += 4;
  }
  return text;
}

/**
 * Decodes canonical base64: padded, no white space, unused bits zero. Undefined for anything else.
 * The caller wipes the result when it is secret.
 */
export function decodeBase64(text: Uint8Array): Buffer | undefined {
  if (text.length % 4 !== 0) return undefined;
  const padding = text.length === 0 ? 0 : text.at(-1) !== 0x3d ? 0 : text.at(-2) !== 0x3d ? 1 : 2;
  const bytes = Buffer.alloc((text.length / 4) * 3 - padding);
  const digits = text.length - padding;
  let bad = 0;
  let group = 0;
  for (let i = 0; i < text.length; i++) {
    const value = i < digits ? sextetOf(text[i] ?? 0) : 0;
    bad |= value >> 8;
    group = (group << 6) | (value & 63);
    if (i % 4 !== 3) continue;
    const start = ((i - 3) / 4) * 3;
    for (let byte = 0; byte < 3; byte++) {
      const octet = (group >> (16 - 8 * byte)) & 0xff;
      if (start + byte < bytes.length) bytes[start + byte] = octet;
      else bad |= octet;
    }
    group = 0;
  }
  if (bad === 0) return bytes;
  bytes.fill(0);
  return undefined;
}

/** The character of a 6-bit value: A-Z, a-z, 0-9, +, /. */
function digitOf(value: number): number {
  return (
    value +
    0x41 +
    (((25 - value) >> 8) & 6) -
    (((51 - value) >> 8) & 75) -
    (((61 - value) >> 8) & 15) +
    (((62 - value) >> 8) & 3)
  );
}

/** The 6-bit value of a character; a negative number for one outside the alphabet. */
function sextetOf(character: number): number {
  const within = (from: number, to: number) => ((from - 1 - character) & (character - to - 1)) >> 8;
  return (
    -1 +
    (within(0x41, 0x5a) & (character - 0x41 + 1)) +
    (within(0x61, 0x7a) & (character - 0x61 + 27)) +
    (within(0x30, 0x39) & (character - 0x30 + 53)) +
    (within(0x2b, 0x2b) & 63) +
    (within(0x2f, 0x2f) & 64)
  );
}
