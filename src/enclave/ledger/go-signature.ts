import { type KeyObject, verify } from "node:crypto";
import { DerReader, derTags } from "../../crypto/der.ts";

/** Orders of the curves whose keys Fabric's peers take (FIPS 186-4, D.1.2). */
const curves: Readonly<Record<string, { readonly order: bigint; readonly bytes: number }>> = {
  secp224r1: { order: 0xffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3dn, bytes: 28 },
  prime256v1: { order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n, bytes: 32 },
  secp384r1: {
    order: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
    bytes: 48,
  },
  secp521r1: {
    order:
      0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
    bytes: 66,
  },
};

/** Whether Fabric's peers can verify signatures by this key at all. */
export function isKeyOfFabric(key: KeyObject): boolean {
  return curves[key.asymmetricKeyDetails?.namedCurve ?? ""] !== undefined;
}

/**
 * Verifies a signature over a message as Fabric's peers do (bccsp: asn1.Unmarshal of Go, S in the lower half of the order, SHA-256): what
 * follows the signature, or the two numbers in it, they do not look at. Signatures for ourselves are verified by `isSignedLowS`.
 */
export function isSignedToFabric(message: Uint8Array, signature: Uint8Array, key: KeyObject): boolean {
  const curve = curves[key.asymmetricKeyDetails?.namedCurve ?? ""];
  if (curve === undefined) return false;
  const pair = readPair(signature, curve.bytes);
  if (pair === undefined || BigInt(`0x${pair.s.toString("hex")}`) > curve.order / 2n) return false;
  return verify("sha256", message, { key, dsaEncoding: "ieee-p1363" }, Buffer.concat([pair.r, pair.s]));
}

function readPair(signature: Uint8Array, bytes: number): { readonly r: Buffer; readonly s: Buffer } | undefined {
  try {
    const pair = new DerReader(signature, () => new Error("not DER")).enter(derTags.sequence);
    return { r: pair.readUnsigned(bytes), s: pair.readUnsigned(bytes) };
  } catch {
    return undefined;
  }
}
