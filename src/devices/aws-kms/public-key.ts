import { type CurveName, checkPublicKey, curves, ecPublicKeyOid, publicKeyBytes } from "../../crypto/curve.ts";
import { der, derTags } from "../../crypto/der.ts";
import { CryptoError } from "../../crypto/errors.ts";

/**
 * The point `04 ‖ X ‖ Y` of a SubjectPublicKeyInfo (RFC 5480): the one DER encoding of an uncompressed point on the named
 * curve, and no other.
 *
 * @throws {CryptoError} `KEY_FORMAT_INVALID`.
 */
export function pointOfSpki(curve: CurveName, spki: Uint8Array): Buffer {
  const publicKey = Buffer.from(spki.subarray(-publicKeyBytes));
  checkPublicKey(curve, publicKey);
  const oids = [ecPublicKeyOid, curves[curve].oid].map((oid) => der(derTags.objectIdentifier, oid));
  const algorithm = der(derTags.sequence, ...oids);
  if (!der(derTags.sequence, algorithm, der(derTags.bitString, Buffer.of(0), publicKey)).equals(spki))
    throw new CryptoError("KEY_FORMAT_INVALID", `the public key is not one of ${curve} in strict DER`);
  return publicKey;
}
