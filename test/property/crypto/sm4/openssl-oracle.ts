import { type CipherGCMTypes, createCipheriv } from "node:crypto";

export interface SealedMessage {
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
}

/** What OpenSSL's `sm4-gcm` makes of a message. */
export function opensslSeal(
  key: Uint8Array,
  nonce: Uint8Array,
  associatedData: Uint8Array,
  plaintext: Uint8Array,
): SealedMessage {
  const cipher = createCipheriv("sm4-gcm" as CipherGCMTypes, key, nonce, { authTagLength: 16 });
  cipher.setAAD(associatedData);
  const ciphertext = cipher.update(plaintext);
  cipher.final();
  return { ciphertext, tag: cipher.getAuthTag() };
}

/** What OpenSSL's `sm4-ctr` makes of a text. */
export function opensslCtr(key: Uint8Array, counter: Uint8Array, text: Uint8Array): Buffer {
  return createCipheriv("sm4-ctr", key, counter).update(text);
}
