import { createCipheriv, createDecipheriv } from "node:crypto";
import { kernelRandomBytes } from "../../crypto/kernel-random.ts";
import { EnclaveError } from "../errors.ts";

/** AES-128-GCM as upstream uses it, with or without associated data. */
export const messageKeyBytes = 16;
export const [ivBytes, tagBytes] = [12, 16] as const;

/** Layout, upstream's: IV (12) ‖ tag (16) ‖ ciphertext. @param key - 16 bytes. @param iv - Left out: random. */
export function encryptMessage(
  key: Uint8Array,
  text: Uint8Array,
  associatedData: Uint8Array = new Uint8Array(),
  iv: Uint8Array = kernelRandomBytes(ivBytes),
): Buffer {
  const cipher = createCipheriv("aes-128-gcm", key, iv).setAAD(associatedData);
  const ciphertext = Buffer.concat([cipher.update(text), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), ciphertext]);
}

/**
 * @param what - What is opened, for the error.
 * @returns Memory of its own, the caller's to wipe.
 * @throws EnclaveError BAD_CIPHERTEXT, for whatever reason
 */
export function decryptMessage(
  key: Uint8Array,
  bytes: Uint8Array,
  what: string,
  associatedData: Uint8Array = new Uint8Array(),
): Buffer {
  const refused = () => new EnclaveError("BAD_CIPHERTEXT", `${what} does not open`);
  if (key.length !== messageKeyBytes || bytes.length < ivBytes + tagBytes) throw refused();
  const decipher = createDecipheriv("aes-128-gcm", key, bytes.subarray(0, ivBytes), { authTagLength: tagBytes })
    .setAAD(associatedData)
    .setAuthTag(bytes.subarray(ivBytes, ivBytes + tagBytes));
  const text = decipher.update(bytes.subarray(ivBytes + tagBytes));
  try {
    decipher.final();
    return text;
  } catch {
    text.fill(0);
    throw refused();
  }
}
