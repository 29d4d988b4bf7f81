import { createHash, type KeyObject, sign, verify } from "node:crypto";
import { DerReader, der, derTags, derUnsigned } from "../../crypto/der.ts";

/**
 * Signatures as Fabric wants them: ECDSA on P-256 with SHA-256, in DER, and S in the lower half of the order (of the two values
 * that are right, Fabric takes the smaller, so that nobody can make a second signature out of one).
 */
const order = 0xffffffff_00000000_ffffffff_ffffffff_bce6faad_a7179e84_f3b9cac2_fc632551n; // FIPS 186-4 D.1.2.3
const halfOrder = order / 2n;
const scalarBytes = 32;
const maxSignatureBytes = 72;

export function signLowS(message: Uint8Array, key: KeyObject): Buffer {
  const raw = sign("sha256", message, { key, dsaEncoding: "ieee-p1363" });
  const s = BigInt(`0x${raw.toString("hex", scalarBytes)}`);
  const low = s <= halfOrder ? s : order - s;
  return der(
    derTags.sequence,
    derUnsigned(raw.subarray(0, scalarBytes)),
    derUnsigned(Buffer.from(low.toString(16).padStart(2 * scalarBytes, "0"), "hex")),
  );
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

/** Whether it is a signature in DER whose S is the smaller of the two. */
export function isLowS(signature: Uint8Array): boolean {
  try {
    const outer = new DerReader(signature, () => new Error("not DER"));
    const pair = outer.enter(derTags.sequence);
    outer.end();
    pair.readUnsigned(scalarBytes);
    const s = pair.readUnsigned(scalarBytes);
    pair.end();
    return BigInt(`0x${s.toString("hex")}`) <= halfOrder;
  } catch {
    return false;
  }
}
