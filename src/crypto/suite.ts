import { type CipherGCMTypes, createCipheriv, createDecipheriv, hash, hkdfSync } from "node:crypto";
import { SecretBuffer } from "./secret-buffer.ts";

/** `intl`: AES-256-GCM, SHA-256. `sm`: SM4-GCM (RFC 8998), SM3. A master key has one suite; mixed use is refused. */
export type SuiteName = "intl" | "sm";

export interface Suite {
  readonly name: SuiteName;
  /** The suite's byte in formats. */
  readonly id: number;
  readonly hash: "sha256" | "sm3";
  /** OpenSSL's name of the AEAD cipher: `aes-256-gcm` or `sm4-gcm` (which Node's types do not list yet). */
  readonly aead: CipherGCMTypes;
  readonly keyBytes: 32 | 16;
}

export const suites: Readonly<Record<SuiteName, Suite>> = {
  intl: { name: "intl", id: 1, hash: "sha256", aead: "aes-256-gcm", keyBytes: 32 },
  sm: { name: "sm", id: 2, hash: "sm3", aead: "sm4-gcm" as CipherGCMTypes, keyBytes: 16 },
};

export const nonceBytes = 12;
export const tagBytes = 16;

/** The suite of a format's byte, or undefined. */
export function suiteById(id: number): Suite | undefined {
  return id === suites.intl.id ? suites.intl : id === suites.sm.id ? suites.sm : undefined;
}

/** The suite's 32-byte hash of the parts, joined. */
export function suiteHash(suite: Suite, ...parts: readonly Uint8Array[]): Buffer {
  // By way of one-byte characters: OpenSSL's answer as a Buffer costs half as much again.
  return Buffer.from(
    hash(suite.hash, parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts), "latin1"),
    "latin1",
  );
}

/** HKDF (RFC 5869) over the suite's hash. The caller disposes of the result. */
export function hkdf(
  suite: Suite,
  secret: SecretBuffer,
  salt: Uint8Array,
  info: Uint8Array,
  bytes: number,
): SecretBuffer {
  return SecretBuffer.adopt(Buffer.from(secret.expose((ikm) => hkdfSync(suite.hash, ikm, salt, info, bytes))));
}

/** Seals: returns `ciphertext ‖ tag (16)`. `key` has the suite's length; the nonce must never repeat under it. */
export function aeadSeal(
  suite: Suite,
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
): Buffer {
  const cipher = createCipheriv(suite.aead, key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(aad);
  const body = cipher.update(plaintext);
  cipher.final();
  return Buffer.concat([body, cipher.getAuthTag()]);
}

/** Opens `ciphertext ‖ tag`; undefined when it does not authenticate. No plaintext is released before the tag is checked. */
export function aeadOpen(
  suite: Suite,
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
): SecretBuffer | undefined {
  if (sealed.length < tagBytes) return undefined;
  const decipher = createDecipheriv(suite.aead, key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
  const body = decipher.update(sealed.subarray(0, sealed.length - tagBytes));
  try {
    decipher.final();
  } catch {
    body.fill(0);
    return undefined;
  }
  return SecretBuffer.adopt(body);
}
