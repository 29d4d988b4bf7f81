import type { KeyObject } from "node:crypto";
import { SimulatedQuoteSchema } from "../messages/generated/fpc/evidence_pb.ts";
import { decodeStrict } from "../messages/strict.ts";
import { isSignedBy } from "../protocol/signing.ts";
import { fieldBytes } from "./attestation-json.ts";
import { readCertificate, verifyPlatformCertificate } from "./certificates.ts";
import { asBadEvidence, badEvidence, type EvidenceVerifier } from "./verifier.ts";

/**
 * Quotes of the `process` backend: a SimulatedQuote signed by the platform's quoting key, which a root of the policy has
 * certified. It proves what the holder of that key says, so it is worth what the host's administrator is worth.
 */
export function simulatedVerifier(): EvidenceVerifier {
  return {
    type: "simulated",
    async verify(evidence, { atMs, roots }) {
      const certificate = readCertificate(fieldBytes(evidence, "certificate"), "the quoting key's certificate");
      const key = verifyPlatformCertificate(certificate, roots, "simulated", atMs);
      checkIsP256(key, "the quoting key");
      const bytes = fieldBytes(evidence, "quote");
      if (!isSignedBy("quote", bytes, fieldBytes(evidence, "signature"), key))
        throw badEvidence("the quote's signature does not verify");
      const required = ["measurement", "statement_hash", "made_at_ms"];
      const quote = asBadEvidence("the quote", () => decodeStrict(SimulatedQuoteSchema, bytes, required));
      if (!/^[0-9A-F]{64}$/.test(quote.measurement)) throw badEvidence("the quote's measurement is malformed");
      return {
        statementHash: Buffer.from(quote.statementHash),
        measurement: quote.measurement,
        madeAtMs: Number(quote.madeAtMs),
      };
    },
  };
}

/** @throws EnclaveError BAD_EVIDENCE */
export function checkIsP256(key: KeyObject, name: string): void {
  if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1")
    throw badEvidence(`${name} is not one on P-256`);
}
