import { createECDH, ECDH } from "node:crypto";
import { CryptoError } from "./errors.ts";
import { SecretBuffer } from "./secret-buffer.ts";

/** `sm2`: GM/T 0003.5 recommended curve. `secp256k1`: SEC 2. `p256`: NIST P-256, in OpenSSL prime256v1. */
export type CurveName = "sm2" | "secp256k1" | "p256";

interface Curve {
  readonly opensslName: string;
  /** Content of the OBJECT IDENTIFIER. */
  readonly oid: Buffer;
  /** The largest private scalar, big-endian: n - 1, and n - 2 for SM2 (whose signature divides by 1 + d). */
  readonly largestScalar: Buffer;
}

export const curves: Readonly<Record<CurveName, Curve>> = {
  sm2: {
    opensslName: "SM2",
    oid: Buffer.from("2a811ccf5501822d", "hex"), // 1.2.156.10197.1.301
    largestScalar: Buffer.from("fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54121", "hex"),
  },
  secp256k1: {
    opensslName: "secp256k1",
    oid: Buffer.from("2b8104000a", "hex"), // 1.3.132.0.10
    largestScalar: Buffer.from("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140", "hex"),
  },
  p256: {
    opensslName: "prime256v1",
    oid: Buffer.from("2a8648ce3d030107", "hex"), // 1.2.840.10045.3.1.7
    largestScalar: Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550", "hex"),
  },
};

/** Content of the OBJECT IDENTIFIER id-ecPublicKey, 1.2.840.10045.2.1. */
export const ecPublicKeyOid: Buffer = Buffer.from("2a8648ce3d0201", "hex");

export const scalarBytes = 32;
/** `04 ‖ X ‖ Y`. */
export const publicKeyBytes = 65;

/**
 * The public point `04 ‖ X ‖ Y` (65 bytes) of a private scalar, computed by OpenSSL.
 *
 * @throws {CryptoError} `KEY_FORMAT_INVALID` for a scalar that is not 32 bytes or out of the curve's range.
 */
export function publicKeyOf(curve: CurveName, scalar: SecretBuffer): Buffer {
  const { opensslName, largestScalar } = curves[curve];
  const ecdh = createECDH(opensslName);
  scalar.expose((bytes) => {
    if (bytes.length !== scalarBytes || bytes.every((byte) => byte === 0) || bytes.compare(largestScalar) > 0)
      throw new CryptoError("KEY_FORMAT_INVALID", `the private scalar is out of the range of ${curve}`);
    ecdh.setPrivateKey(bytes);
  });
  return ecdh.getPublicKey();
}

/** A fresh private scalar with its public point. The caller disposes of the scalar. */
export function generateKeyPair(curve: CurveName): { readonly scalar: SecretBuffer; readonly publicKey: Buffer } {
  for (;;) {
    const scalar = SecretBuffer.random(scalarBytes);
    // Rejection sampling: uniform over 1 ..= largestScalar, and a second draw is next to never needed.
    const inRange = scalar.expose(
      (bytes) => bytes.compare(curves[curve].largestScalar) <= 0 && bytes.some((byte) => byte !== 0),
    );
    if (inRange) return { scalar, publicKey: publicKeyOf(curve, scalar) };
    scalar[Symbol.dispose]();
  }
}

/**
 * Checks that `publicKey` is `04 ‖ X ‖ Y` with the point on the curve.
 *
 * @throws {CryptoError} `KEY_FORMAT_INVALID`.
 */
export function checkPublicKey(curve: CurveName, publicKey: Uint8Array): void {
  if (publicKey.length !== publicKeyBytes || publicKey[0] !== 0x04)
    throw new CryptoError("KEY_FORMAT_INVALID", "a public key is 65 bytes: 04, X, Y");
  try {
    ECDH.convertKey(publicKey, curves[curve].opensslName, undefined, undefined, "uncompressed");
  } catch (cause) {
    throw new CryptoError("KEY_FORMAT_INVALID", `the public key is not a point of ${curve}`, cause);
  }
}

/** The FISCO BCOS node id: `X ‖ Y` in 128 lower-case hexadecimal characters. */
export function nodeIdOf(publicKey: Uint8Array): string {
  if (publicKey.length !== publicKeyBytes) throw new RangeError("a public key is 65 bytes: 04, X, Y");
  return Buffer.from(publicKey.subarray(1)).toString("hex");
}

/**
 * The public key (65 bytes) of a FISCO BCOS node id. Upper case is accepted, nothing else beside 128 hex characters.
 *
 * @throws {CryptoError} `KEY_FORMAT_INVALID` for other text or a point that is not on the curve.
 */
export function publicKeyOfNodeId(curve: CurveName, nodeId: string): Buffer {
  if (!/^[0-9a-fA-F]{128}$/.test(nodeId))
    throw new CryptoError("KEY_FORMAT_INVALID", "a node id is 128 hexadecimal characters");
  const publicKey = Buffer.from(`04${nodeId}`, "hex");
  checkPublicKey(curve, publicKey);
  return publicKey;
}
