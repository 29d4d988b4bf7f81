/** `prefix ‖ lower-case hex ‖ suffix`, made byte by byte so that no string ever holds the key. */
export function hexBytes(bytes: Uint8Array, prefix: Uint8Array, suffix: Uint8Array): Buffer {
  const digit = (value: number) => value + (value < 10 ? 0x30 : 0x57);
  const text = Buffer.allocUnsafeSlow(prefix.length + bytes.length * 2 + suffix.length);
  text.set(prefix, 0);
  let at = prefix.length;
  for (const byte of bytes) {
    text[at++] = digit(byte >> 4);
    text[at++] = digit(byte & 15);
  }
  text.set(suffix, at);
  return text;
}

const base64Alphabet = Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");

/** Standard base64 with padding (RFC 4648 section 4), again without a string. */
export function base64Bytes(bytes: Uint8Array): Buffer {
  const text = Buffer.alloc(Math.ceil(bytes.length / 3) * 4, "=");
  for (let from = 0, to = 0; from < bytes.length; from += 3, to += 4) {
    const group = ((bytes[from] ?? 0) << 16) | ((bytes[from + 1] ?? 0) << 8) | (bytes[from + 2] ?? 0);
    const letters = Math.min(bytes.length - from, 3) + 1;
    for (let letter = 0; letter < letters; letter++)
      text[to + letter] = base64Alphabet[(group >> (18 - 6 * letter)) & 63] ?? 0;
  }
  return text;
}
