import { createPrivateKey, createPublicKey, createSign, createVerify, hash, type KeyObject } from "node:crypto";
import { checkPublicKey, curves, ecPublicKeyOid, publicKeyBytes, publicKeyOf } from "./curve.ts";
import { DerReader, der, derTags, derUnsigned } from "./der.ts";
import { CryptoError } from "./errors.ts";
import { writePrivateKeyDer } from "./pem.ts";
import type { SecretBuffer } from "./secret-buffer.ts";
import { sm2CurveBytes } from "./sm2-curve.ts";

/** The signer's name where none is agreed (GM/T 0009-2012 section 10). */
export const sm2DefaultUserId = "1234567812345678";

/** `raw`: r ‖ s, 64 bytes. `der`: SEQUENCE of two INTEGERs (GM/T 0009), 8 to 72 bytes. */
export type Sm2SignatureForm = "raw" | "der";

export interface Sm2SignOptions {
  /** The signer's name, text (as UTF-8) or bytes, at most 8191 bytes. @defaultValue `"1234567812345678"` */
  readonly userId?: string | Uint8Array;
  /** @defaultValue `"raw"` */
  readonly form?: Sm2SignatureForm;
}

/** A private key ready to sign many times: OpenSSL holds its own copy of the scalar until the object is collected. */
export interface Sm2SigningKey {
  readonly privateKey: KeyObject;
  /** `04 ‖ X ‖ Y`. */
  readonly publicKey: Buffer;
}

/**
 * ZA = SM3(ENTL ‖ user id ‖ a ‖ b ‖ xG ‖ yG ‖ xA ‖ yA) of GM/T 0003.2 section 5.5; ENTL is the id's length in bits, 16 bits.
 *
 * @param publicKey - `04 ‖ X ‖ Y`, 65 bytes.
 * @throws {RangeError} For a user id over 8191 bytes.
 */
export function sm2Za(publicKey: Uint8Array, userId: string | Uint8Array = sm2DefaultUserId): Buffer {
  if (publicKey.length !== publicKeyBytes) throw new RangeError("a public key is 65 bytes: 04, X, Y");
  const id = typeof userId === "string" ? Buffer.from(userId) : userId;
  if (id.length > 8191) throw new RangeError(`an SM2 user id has at most 8191 bytes, got ${id.length}`);
  const idBits = Buffer.alloc(2);
  idBits.writeUInt16BE(id.length * 8);
  return hash("sm3", Buffer.concat([idBits, id, sm2CurveBytes, publicKey.subarray(1)]), "buffer");
}

/** The digest that SM2 signs: e = SM3(ZA ‖ message). */
export function sm2Digest(publicKey: Uint8Array, message: Uint8Array, userId?: string | Uint8Array): Buffer {
  return hash("sm3", Buffer.concat([sm2Za(publicKey, userId), message]), "buffer");
}

/**
 * Makes a signing key of a private scalar (32 bytes).
 *
 * The key is imported from its PKCS#8 form on purpose: a key that Node generated itself signs plain ECDSA on this curve.
 *
 * @throws {CryptoError} `KEY_FORMAT_INVALID` for a scalar out of range.
 */
export function sm2SigningKey(scalar: SecretBuffer): Sm2SigningKey {
  const publicKey = publicKeyOf("sm2", scalar);
  using pkcs8 = writePrivateKeyDer("sm2", scalar, "pkcs8");
  const privateKey = pkcs8.expose((key) => createPrivateKey({ key, format: "der", type: "pkcs8" }));
  return { privateKey, publicKey };
}

/** Signs a message (GM/T 0003.2-2012). Node's `sm3` signature hashes only what it is given, so ZA goes in first. */
export function sm2Sign(key: Sm2SigningKey, message: Uint8Array, options: Sm2SignOptions = {}): Buffer {
  const signature = createSign("sm3").update(sm2Za(key.publicKey, options.userId)).update(message).sign(key.privateKey);
  return options.form === "der" ? signature : sm2SignatureToRaw(signature);
}

/**
 * True when `signature` is that of `message` under `publicKey` and the user id. A malformed signature is false.
 *
 * @throws {CryptoError} `KEY_FORMAT_INVALID` when `publicKey` is not a point of the curve.
 */
export function sm2Verify(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  options: Sm2SignOptions = {},
): boolean {
  checkPublicKey("sm2", publicKey);
  const derSignature = options.form === "der" ? canonicalDer(signature) : rawToDer(signature);
  if (derSignature === undefined) return false;
  const za = sm2Za(publicKey, options.userId);
  return createVerify("sm3").update(za).update(message).verify(importPublicKey(publicKey), derSignature);
}

/**
 * r ‖ s of a DER signature.
 *
 * @throws {CryptoError} `SM2_REFUSED` when it is not strict DER of two numbers of at most 32 bytes.
 */
export function sm2SignatureToRaw(signature: Uint8Array): Buffer {
  const outer = new DerReader(signature, malformed);
  const pair = outer.enter(derTags.sequence);
  outer.end();
  const raw = Buffer.concat([pair.readUnsigned(32), pair.readUnsigned(32)]);
  pair.end();
  return raw;
}

/**
 * The DER form of r ‖ s.
 *
 * @throws {CryptoError} `SM2_REFUSED` when the signature is not 64 bytes.
 */
export function sm2SignatureToDer(signature: Uint8Array): Buffer {
  const encoded = rawToDer(signature);
  if (encoded === undefined) throw malformed();
  return encoded;
}

function rawToDer(signature: Uint8Array): Buffer | undefined {
  if (signature.length !== 64) return undefined;
  return der(derTags.sequence, derUnsigned(signature.subarray(0, 32)), derUnsigned(signature.subarray(32)));
}

function canonicalDer(signature: Uint8Array): Buffer | undefined {
  try {
    return rawToDer(sm2SignatureToRaw(signature));
  } catch {
    return undefined;
  }
}

function importPublicKey(publicKey: Uint8Array): KeyObject {
  const algorithm = der(
    derTags.sequence,
    der(derTags.objectIdentifier, ecPublicKeyOid),
    der(derTags.objectIdentifier, curves.sm2.oid),
  );
  const spki = der(derTags.sequence, algorithm, der(derTags.bitString, Buffer.of(0), publicKey));
  return createPublicKey({ key: spki, format: "der", type: "spki" });
}

function malformed(): CryptoError {
  return new CryptoError("SM2_REFUSED", "the SM2 signature is not r and s in the form asked for");
}
