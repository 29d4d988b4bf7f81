import { createHash, type KeyObject, sign, verify } from "node:crypto";
import { p256 } from "@noble/curves/nist.js";
import { DerReader, der, derTags, derUnsigned } from "../../crypto/der.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";

/**
 * Signatures as Fabric wants them: ECDSA on P-256 with SHA-256, in DER, and S in the lower half of the order (of the two values
 * that are right, Fabric takes the smaller, so that nobody can make a second signature out of one).
 */
const order = p256.Point.CURVE().n;
const scalarBytes = 32;
const maxSignatureBytes = 72;

export function signLowS(message: Uint8Array, key: KeyObject): Buffer {
  const raw = sign("sha256", message, { key, dsaEncoding: "ieee-p1363" });
  const s = BigInt(`0x${raw.toString("hex", scalarBytes)}`);
  const low = s <= order / 2n ? s : order - s;
  return der(
    derTags.sequence,
    derUnsigned(raw.subarray(0, scalarBytes)),
    derUnsigned(Buffer.from(low.toString(16).padStart(2 * scalarBytes, "0"), "hex")),
  );
}

/** As {@link signLowS}, over a SHA-256 digest that somebody else made. @param scalar - The private key, 32 bytes. */
export function signDigestLowS(digest: Uint8Array, scalar: SecretBuffer): Buffer {
  if (digest.length !== scalarBytes) throw new RangeError("a SHA-256 digest is 32 bytes long");
  const signature = scalar.expose((key) => p256.sign(digest, key, { prehash: false, lowS: true, format: "der" }));
  return Buffer.from(signature);
}

export function isSignedLowS(message: Uint8Array, signature: Uint8Array, key: KeyObject): boolean {
  if (signature.length > maxSignatureBytes || !isLowS(signature)) return false;
  return verify("sha256", message, { key, dsaEncoding: "der" }, signature);
}

export function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

function isLowS(signature: Uint8Array): boolean {
  try {
    const outer = new DerReader(signature, () => new Error("not DER"));
    const pair = outer.enter(derTags.sequence);
    outer.end();
    pair.readUnsigned(scalarBytes);
    const s = pair.readUnsigned(scalarBytes);
    pair.end();
    return BigInt(`0x${s.toString("hex")}`) <= order / 2n;
  } catch {
    return false;
  }
}
