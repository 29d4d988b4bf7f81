import { type KeyObject, sign, verify } from "node:crypto";
import { EnclaveError } from "../errors.ts";

/** What a signature is made for. None verifies as another, nor as one that upstream's `__endorse` makes. */
export const signatureDomains = {
  keyRegistration: "strongroom/fpc/v1/cckey-registration",
  keyExport: "strongroom/fpc/v1/export",
  generationProposal: "strongroom/fpc/v1/generation-proposal",
  recovery: "strongroom/fpc/v1/recovery",
  releasedShare: "strongroom/fpc/v1/released-share",
  policy: "strongroom/fpc/v1/policy",
  revocation: "strongroom/fpc/v1/revocation",
  quote: "strongroom/fpc/v1/simulated-quote",
} as const;

export type SignatureDomain = keyof typeof signatureDomains;

/** ECDSA on P-256 with SHA-256, DER, over the domain's name, a zero byte and `message`: for messages in an `Any`, its `value`. */
export function signMessage(domain: SignatureDomain, message: Uint8Array, key: KeyObject): Buffer {
  return sign("sha256", signedBytes(domain, message), { key, dsaEncoding: "der" });
}

/** @throws EnclaveError BAD_SIGNATURE */
export function verifyMessage(
  domain: SignatureDomain,
  message: Uint8Array,
  signature: Uint8Array,
  key: KeyObject,
): void {
  if (!isSignedBy(domain, message, signature, key))
    throw new EnclaveError("BAD_SIGNATURE", `the signature over the ${domain} does not verify`);
}

export function isSignedBy(
  domain: SignatureDomain,
  message: Uint8Array,
  signature: Uint8Array,
  key: KeyObject,
): boolean {
  // P-256 signatures in DER are at most 72 bytes; a longer one can only be a waste of time.
  return (
    signature.length <= 72 && verify("sha256", signedBytes(domain, message), { key, dsaEncoding: "der" }, signature)
  );
}

function signedBytes(domain: SignatureDomain, message: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(signatureDomains[domain], "ascii"), Buffer.of(0), message]);
}
