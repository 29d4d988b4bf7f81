import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
} from "node:crypto";
import { kernelRandomBytes } from "../../crypto/kernel-random.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { EnclaveError } from "../errors.ts";

const formatVersion = 1;
const [keyBytes, ivBytes, tagBytes] = [32, 12, 16] as const;
const wrappedKeyBytes = 384;
const headBytes = 1 + wrappedKeyBytes + ivBytes + tagBytes;

/** Of what {@link encryptTo} makes of a text of so many bytes. */
export function encryptedBytes(textBytes: number): number {
  return headBytes + textBytes;
}

/** What a ciphertext is bound to. It opens under exactly the same. */
export interface HybridContext {
  readonly purpose: "export" | "recovery-share" | "released-share";
  readonly ccParamsHash: Uint8Array;
  /** Of the receiver, where it may be another's than the sender's; left out: the same. */
  readonly receiverCcParamsHash?: Uint8Array;
  /** PEM. */
  readonly chaincodeEk: Uint8Array;
  /** Enclave ids of 32 bytes; for shares, the organisation's name. */
  readonly sender: Uint8Array;
  readonly receiver: Uint8Array;
  readonly generation: bigint;
  /** Of a message that may be made again; left out: none. */
  readonly nonce?: Uint8Array;
}

/**
 * Encrypts to an RSA-3072 key: an AES-256 key by RSA-OAEP with SHA-256 (RFC 8017 section 7.1), the text by AES-256-GCM under it.
 * A chaincode's DK alone is several times what RSA-OAEP can carry. Layout:
 *
 *     version 1 (1) ‖ wrapped key (384) ‖ IV (12) ‖ tag (16) ‖ ciphertext
 *
 * @throws EnclaveError MALFORMED: what looks like a key cannot be encrypted to
 */
export function encryptTo(receiverKey: KeyObject, context: HybridContext, text: SecretBuffer): Buffer {
  const key = kernelRandomBytes(keyBytes);
  try {
    const wrapped = wrapKey(receiverKey, key);
    const iv = kernelRandomBytes(ivBytes);
    const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(associatedData(context));
    const ciphertext = text.expose((bytes) => Buffer.concat([cipher.update(bytes), cipher.final()]));
    return Buffer.concat([Buffer.of(formatVersion), wrapped, iv, cipher.getAuthTag(), ciphertext]);
  } finally {
    key.fill(0);
  }
}

/** @throws EnclaveError BAD_CIPHERTEXT, for whatever reason: another key, another context, an altered or cut ciphertext */
export function decryptWith(receiverKey: KeyObject, context: HybridContext, bytes: Uint8Array): SecretBuffer {
  const refused = () => new EnclaveError("BAD_CIPHERTEXT", `the ciphertext of the ${context.purpose} does not open`);
  if (bytes.length <= headBytes || bytes[0] !== formatVersion) throw refused();
  const part = (from: number, length: number) => bytes.subarray(from, from + length);
  let key: Buffer | undefined;
  try {
    key = privateDecrypt(oaep(receiverKey), part(1, wrappedKeyBytes));
    const iv = part(1 + wrappedKeyBytes, ivBytes);
    const decipher = createDecipheriv("aes-256-gcm", key, iv, { authTagLength: tagBytes })
      .setAAD(associatedData(context))
      .setAuthTag(part(1 + wrappedKeyBytes + ivBytes, tagBytes));
    const text = decipher.update(bytes.subarray(headBytes));
    try {
      decipher.final();
    } catch {
      text.fill(0);
      throw refused();
    }
    return SecretBuffer.adopt(text);
  } catch {
    throw refused();
  } finally {
    key?.fill(0);
  }
}

/** A key of the right size and exponent may still be none: an even modulus, say. */
function wrapKey(receiverKey: KeyObject, key: Buffer): Buffer {
  try {
    return publicEncrypt(oaep(receiverKey), key);
  } catch {
    throw new EnclaveError("MALFORMED", "the receiver's key is no RSA key that can be encrypted to");
  }
}

function oaep(key: KeyObject) {
  return { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" };
}

/** SHA-256 over the purpose and every part, each with its length before it. */
function associatedData(context: HybridContext): Buffer {
  const hash = createHash("sha256");
  const add = (bytes: Uint8Array) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  };
  const generation = Buffer.alloc(8);
  generation.writeBigUInt64BE(context.generation);
  add(Buffer.from(`strongroom/fpc/v1/hybrid/${context.purpose}`, "ascii"));
  add(context.ccParamsHash);
  add(context.receiverCcParamsHash ?? context.ccParamsHash);
  for (const part of [context.chaincodeEk, context.sender, context.receiver, generation]) add(part);
  add(context.nonce ?? Buffer.alloc(0));
  return hash.digest();
}
