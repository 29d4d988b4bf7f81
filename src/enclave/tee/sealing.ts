import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { EnclaveError } from "../errors.ts";
import type { TeeKind } from "./backend.ts";

const [ivBytes, tagBytes] = [12, 16] as const;

/** Of the sealed form, and of how keys are derived. */
export const sealVersion = 1;
/** Of a sealed form that a key manager's key is needed for as well (key-manager/backend.ts). */
export const keyManagedVersion = 2;

/**
 * The key that a platform seals with for one measurement: HKDF-SHA-256 (RFC 5869) of the platform's secret, salted with the
 * measurement, for this kind of platform and this version. The caller disposes of it.
 *
 * @param measurement - 64 upper-case hex digits
 */
export function sealingKey(platformSecret: SecretBuffer, measurement: string, kind: TeeKind): SecretBuffer {
  const info = `strongroom/fpc/v1/seal/${kind}/${sealVersion}`;
  return platformSecret.expose((secret) =>
    SecretBuffer.adopt(Buffer.from(hkdfSync("sha256", secret, Buffer.from(measurement, "hex"), info, 32))),
  );
}

/** AES-256-GCM: `IV (12) ‖ tag (16) ‖ ciphertext`. */
export function sealUnder(key: SecretBuffer, secret: SecretBuffer, associatedData: Uint8Array): Buffer {
  const iv = randomBytes(ivBytes);
  const cipher = key.expose((bytes) => createCipheriv("aes-256-gcm", bytes, iv)).setAAD(associatedData);
  const ciphertext = secret.expose((bytes) => Buffer.concat([cipher.update(bytes), cipher.final()]));
  return Buffer.concat([iv, cipher.getAuthTag(), ciphertext]);
}

/** @throws EnclaveError UNSEAL_FAILED */
export function unsealUnder(key: SecretBuffer, sealed: Uint8Array, associatedData: Uint8Array): SecretBuffer {
  if (sealed.length < ivBytes + tagBytes) throw unsealFailed();
  const decipher = key
    .expose((bytes) => createDecipheriv("aes-256-gcm", bytes, sealed.subarray(0, ivBytes), { authTagLength: tagBytes }))
    .setAAD(associatedData)
    .setAuthTag(sealed.subarray(ivBytes, ivBytes + tagBytes));
  const text = decipher.update(sealed.subarray(ivBytes + tagBytes));
  try {
    decipher.final();
  } catch {
    text.fill(0);
    throw unsealFailed();
  }
  return SecretBuffer.adopt(text);
}

/** @throws EnclaveError UNSEAL_FAILED: of another form, with the reason where it is the key manager */
export function requireSealVersion(sealed: Uint8Array, version: number): void {
  const [found] = sealed;
  if (found === version) return;
  if (found === keyManagedVersion)
    throw new EnclaveError(
      "UNSEAL_FAILED",
      "the enclave was created with a key manager, without whose key its blob does not open: the settings name none",
    );
  if (version === keyManagedVersion && found === sealVersion)
    throw new EnclaveError("UNSEAL_FAILED", "the enclave was created without a key manager: the settings name one");
  throw unsealFailed();
}

/** One message for every reason: which it was, the platform cannot know. */
export function unsealFailed(): EnclaveError {
  return new EnclaveError(
    "UNSEAL_FAILED",
    "the sealed blob does not open: it is of another platform, another version of the code, or altered",
  );
}
