import { createCipheriv, createDecipheriv, createHash } from "node:crypto";
import { combine } from "shamir-secret-sharing";
import { kernelRandomBytes } from "../../crypto/kernel-random.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { EnclaveError } from "../errors.ts";
import type { RecoveryMessage } from "../messages/generated/fpc/key_dist_pb.ts";
import { ChaincodeGeneration, longestGenerationBytes } from "./chaincode-keys.ts";
import { encryptedBytes } from "./hybrid-encryption.ts";

/** The wrapping key, and each share of it: as many bytes, and the share's own number. */
export const wrappingKeyBytes = 32;
export const shareBytes = wrappingKeyBytes + 1;
const [wrapVersion, ivBytes, tagBytes] = [1, 12, 16] as const;
const headBytes = 1 + ivBytes + tagBytes;

/** Of a share, encrypted to an organisation or to an enclave. */
export const encryptedShareBytes = encryptedBytes(shareBytes);
/** Of a wrapped KeyGeneration with the longest private key that is read; those that are made are some 2.5 KB. */
export const longestWrappedBytes = wrappedBytes(longestGenerationBytes);

/** Of what {@link wrapUnder} makes of a text of so many bytes. */
export function wrappedBytes(textBytes: number): number {
  return headBytes + textBytes;
}

/** AES-256-GCM: version 1 (1) ‖ IV (12) ‖ tag (16) ‖ ciphertext. @param key - 32 bytes, the caller's to wipe */
export function wrapUnder(key: SecretBuffer, text: SecretBuffer, associated: Uint8Array): Buffer {
  const iv = kernelRandomBytes(ivBytes);
  const cipher = key.expose((bytes) => createCipheriv("aes-256-gcm", bytes, iv)).setAAD(associated);
  const ciphertext = text.expose((bytes) => Buffer.concat([cipher.update(bytes), cipher.final()]));
  return Buffer.concat([Buffer.of(wrapVersion), iv, cipher.getAuthTag(), ciphertext]);
}

/** What {@link wrapUnder} made; undefined where it does not open. */
export function unwrapUnder(key: SecretBuffer, wrapped: Uint8Array, associated: Uint8Array): SecretBuffer | undefined {
  if (key.byteLength !== wrappingKeyBytes || wrapped.length <= headBytes || wrapped[0] !== wrapVersion)
    return undefined;
  const iv = wrapped.subarray(1, 1 + ivBytes);
  const decipher = key
    .expose((bytes) => createDecipheriv("aes-256-gcm", bytes, iv, { authTagLength: tagBytes }))
    .setAAD(associated)
    .setAuthTag(wrapped.subarray(1 + ivBytes, headBytes));
  const text = SecretBuffer.adopt(decipher.update(wrapped.subarray(headBytes)));
  try {
    decipher.final();
    return text;
  } catch {
    text[Symbol.dispose]();
    return undefined;
  }
}

/** The wrapping key that these shares make, right or wrong. @throws EnclaveError BAD_CIPHERTEXT: they are no shares of one key */
export async function combineWrappingKey(shares: readonly SecretBuffer[]): Promise<SecretBuffer> {
  // The library takes plain Uint8Arrays and no Buffers.
  const copies = shares.map((share) => share.expose((bytes) => new Uint8Array(bytes)));
  try {
    return SecretBuffer.take(await combine(copies));
  } catch {
    throw new EnclaveError("BAD_CIPHERTEXT", "the recovery shares do not fit together");
  } finally {
    for (const copy of copies) copy.fill(0);
  }
}

/** @throws EnclaveError BAD_CIPHERTEXT */
export function unwrapGeneration(key: SecretBuffer, message: RecoveryMessage): ChaincodeGeneration {
  const refused = () => new EnclaveError("BAD_CIPHERTEXT", "the recovery shares do not open the generation");
  using text = unwrapUnder(key, message.wrappedGeneration, associatedData(message));
  if (text === undefined) throw refused();
  try {
    return ChaincodeGeneration.fromBytes(text);
  } catch {
    throw refused();
  }
}

/** Of whom, for how many of whom: all but the shares, each with its length before it. What was issued before has no policy's number. */
export function associatedData(message: RecoveryMessage): Buffer {
  const numbers = Buffer.alloc(message.policyNumber === 0n ? 12 : 20);
  numbers.writeBigUInt64BE(message.generation);
  numbers.writeUInt32BE(message.threshold, 8);
  if (message.policyNumber !== 0n) numbers.writeBigUInt64BE(message.policyNumber, 12);
  return hashOf("wrapped-generation", [
    message.ccParamsHash,
    message.chaincodeEk,
    numbers,
    message.membersHash,
    message.issuerEnclaveId,
  ]);
}

/** A share has 256 random bits: its hash tells nothing of it. */
export function shareHash(message: RecoveryMessage, mspId: string, share: SecretBuffer): Buffer {
  return share.expose((bytes) => hashOf("share", [associatedData(message), Buffer.from(mspId, "utf8"), bytes]));
}

export function hashOf(purpose: string, parts: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256");
  for (const part of [Buffer.from(`strongroom/fpc/v1/recovery/${purpose}`, "ascii"), ...parts]) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    hash.update(length).update(part);
  }
  return hash.digest();
}
