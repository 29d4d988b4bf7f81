import { createCipheriv, createDecipheriv } from "node:crypto";
import { CryptoError } from "./errors.ts";
import { SecretBuffer } from "./secret-buffer.ts";

/**
 * Cipher modes without a tag. Anyone may change what they encrypt; they are here for formats that others have fixed.
 * New data goes into a sealed box or under `aeadSeal`.
 */
export type CbcCipher = "aes-256-cbc" | "sm4-cbc";
export type CtrCipher = "aes-256-ctr" | "sm4-ctr";

const keyBytes = { "aes-256-cbc": 32, "sm4-cbc": 16, "aes-256-ctr": 32, "sm4-ctr": 16 } as const;
const blockBytes = 16;

/**
 * CBC with PKCS#7 padding: the result is 1 to 16 bytes longer than `plaintext` and a multiple of 16.
 *
 * @param iv - 16 bytes, unpredictable to whoever chooses the plaintext.
 * @throws {RangeError} For a key or IV of another length.
 */
export function cbcEncryptUnauthenticated(
  cipher: CbcCipher,
  key: SecretBuffer,
  iv: Uint8Array,
  plaintext: Uint8Array,
): Buffer {
  checkLengths(cipher, key, iv);
  const context = key.expose((bytes) => createCipheriv(cipher, bytes, iv));
  return Buffer.concat([context.update(plaintext), context.final()]);
}

/**
 * Opens CBC; every padding byte is checked. The caller disposes of the result.
 *
 * @throws {CryptoError} `LEGACY_REFUSED` for a length that is not a positive multiple of 16 and for bad padding. That the
 *   call succeeds proves nothing: about one wrong key in 256 yields well-padded noise.
 * @throws {RangeError} For a key or IV of another length.
 */
export function cbcDecryptUnauthenticated(
  cipher: CbcCipher,
  key: SecretBuffer,
  iv: Uint8Array,
  ciphertext: Uint8Array,
): SecretBuffer {
  checkLengths(cipher, key, iv);
  if (ciphertext.length === 0 || ciphertext.length % blockBytes !== 0)
    throw new CryptoError("LEGACY_REFUSED", `${ciphertext.length} bytes are not whole cipher blocks of ${blockBytes}`);
  const context = key.expose((bytes) => createDecipheriv(cipher, bytes, iv));
  const body = context.update(ciphertext);
  try {
    const tail = context.final();
    const plaintext = Buffer.concat([body, tail]);
    tail.fill(0);
    return SecretBuffer.take(plaintext);
  } catch {
    throw new CryptoError("LEGACY_REFUSED");
  } finally {
    body.fill(0);
  }
}

/**
 * CTR, which is its own inverse. A counter block must never repeat under a key.
 *
 * @param counter - The first counter block, 16 bytes, counted up big-endian.
 * @throws {RangeError} For a key or counter of another length.
 */
export function ctrUnauthenticated(
  cipher: CtrCipher,
  key: SecretBuffer,
  counter: Uint8Array,
  input: Uint8Array,
): Buffer {
  checkLengths(cipher, key, counter);
  return key.expose((bytes) => createCipheriv(cipher, bytes, counter)).update(input);
}

function checkLengths(cipher: CbcCipher | CtrCipher, key: SecretBuffer, iv: Uint8Array): void {
  if (key.byteLength !== keyBytes[cipher])
    throw new RangeError(`${cipher} takes a key of ${keyBytes[cipher]} bytes, got ${key.byteLength}`);
  if (iv.length !== blockBytes) throw new RangeError(`${cipher} takes an IV of ${blockBytes} bytes, got ${iv.length}`);
}
