import { createHash, verify } from "node:crypto";
import { fieldBytes } from "./attestation-json.ts";
import { readCertificate, verifyPlatformCertificate } from "./certificates.ts";
import { checkIsP256 } from "./simulated.ts";
import { readTpmQuote, readTpmSignature } from "./tpm-attest.ts";
import { badEvidence, type EvidenceVerifier } from "./verifier.ts";

/**
 * The PCR that holds an enclave's code: one that can't be reset without a restart of the machine, and that firmware and common
 * boot loaders leave alone. A quote of another proves nothing, since PCR 16 and 23 are anybody's to set.
 */
export const measuredPcr = 13;

/** Quotes of TPM 2.0 over {@link measuredPcr}, by a restricted ECDSA key that a root of the policy has certified. */
export function tpmVerifier(): EvidenceVerifier {
  return {
    type: "tpm",
    async verify(evidence, { statementHash, atMs, roots }) {
      const certificate = readCertificate(fieldBytes(evidence, "certificate"), "the attestation key's certificate");
      const key = verifyPlatformCertificate(certificate, roots, "tpm", atMs);
      checkIsP256(key, "the attestation key");
      const attest = fieldBytes(evidence, "attest");
      const signature = readTpmSignature(fieldBytes(evidence, "signature"));
      if (!verify("sha256", attest, { key, dsaEncoding: "ieee-p1363" }, signature))
        throw badEvidence("the TPM's signature does not verify");
      const quote = readTpmQuote(attest);
      if (quote.pcr !== measuredPcr) throw badEvidence(`the quote is of PCR ${quote.pcr}, not of PCR ${measuredPcr}`);
      const madeAtMs = readMadeAt(evidence.get("made_at_ms") ?? "");
      if (!tpmExtraData(statementHash, madeAtMs).equals(quote.extraData))
        throw badEvidence("the quote is about another statement, or was made at another time");
      return { statementHash, measurement: quote.pcrDigest.toString("hex").toUpperCase(), madeAtMs };
    },
  };
}

/**
 * What the TPM is given to sign (32 bytes, which each TPM takes): the TPM has no clock of the world, so the enclave's goes in.
 *
 *     SHA-256 of: "strongroom/fpc/v1/tpm-quote" ‖ 0 ‖ SHA-256 of the statement ‖ milliseconds since 1970, big-endian (8)
 */
export function tpmExtraData(statementHash: Uint8Array, madeAtMs: number): Buffer {
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(madeAtMs));
  return createHash("sha256").update("strongroom/fpc/v1/tpm-quote\0").update(statementHash).update(time).digest();
}

function readMadeAt(text: string): number {
  if (!/^[1-9][0-9]{0,14}$/.test(text)) throw badEvidence("made_at_ms is not a time");
  return Number(text);
}
