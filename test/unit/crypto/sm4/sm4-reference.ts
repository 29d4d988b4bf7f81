import { type CipherGCMTypes, createCipheriv } from "node:crypto";

/** SM4-GCM by OpenSSL. */
export function referenceSeal(
  key: Uint8Array,
  nonce: Uint8Array,
  associatedData: Uint8Array,
  plaintext: Uint8Array,
): { ciphertext: Buffer; tag: Buffer } {
  const cipher = createCipheriv("sm4-gcm" as CipherGCMTypes, key, nonce, { authTagLength: 16 });
  cipher.setAAD(associatedData);
  const ciphertext = cipher.update(plaintext);
  cipher.final();
  return { ciphertext, tag: cipher.getAuthTag() };
}

/** SM4 in counter mode by OpenSSL. */
export function referenceCtr(key: Uint8Array, counter: Uint8Array, input: Uint8Array): Buffer {
  return createCipheriv("sm4-ctr", key, counter).update(input);
}

/** Bytes that look random and are the same for the same seed: a xorshift32. */
export function bytesFrom(seed: number, byteLength: number): Buffer {
  const bytes = Buffer.alloc(byteLength);
  let state = Math.imul(seed + 1, 2_654_435_761) | 1;
  for (let i = 0; i < byteLength; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state >>> 11;
  }
  return bytes;
}
