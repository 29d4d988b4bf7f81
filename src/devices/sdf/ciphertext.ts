import { checkPublicKey } from "../../crypto/curve.ts";
import { DerReader, derTags } from "../../crypto/der.ts";
import { CryptoError } from "../../crypto/errors.ts";

/** The longest C2 that a card is handed; layouts hold less. */
const maxC2Bytes = 1_024;

/**
 * `04 ‖ x ‖ y ‖ C3 ‖ C2` of an SM2 ciphertext in ASN.1 (GM/T 0009-2012); undefined for anything that is not strictly one. Its
 * point lies on the curve: a card that multiplied any other would tell of its private key, and not all cards look.
 */
export function rawCiphertextOf(ciphertext: Uint8Array): Buffer | undefined {
  const refuse = () => new CryptoError("SM2_REFUSED");
  try {
    const outer = new DerReader(ciphertext, refuse);
    const parts = outer.enter(derTags.sequence);
    outer.end();
    const x = parts.readUnsigned(32);
    const y = parts.readUnsigned(32);
    const c3 = parts.read(derTags.octetString);
    const c2 = parts.read(derTags.octetString);
    parts.end();
    if (c3.length !== 32 || c2.length === 0 || c2.length > maxC2Bytes) return undefined;
    const point = Buffer.concat([Buffer.of(4), x, y]);
    checkPublicKey("sm2", point);
    return Buffer.concat([point, c3, c2]);
  } catch (error) {
    if (error instanceof CryptoError) return undefined;
    throw error;
  }
}
