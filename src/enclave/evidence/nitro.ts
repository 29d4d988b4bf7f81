import { createHash, verify } from "node:crypto";
import { fieldBytes } from "./attestation-json.ts";
import { readCertificate, verifyPath } from "./certificates.ts";
import { type NitroDocument, readCoseSign1, readNitroDocument } from "./nitro-document.ts";
import { badEvidence, type EvidenceVerifier } from "./verifier.ts";

/** SHA-256 of "aws.nitro-enclaves" in DER, as AWS publishes it. */
const awsRootHash = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b";

/**
 * Attestation documents of AWS Nitro Enclaves. The certificate of a document lives three hours, so the path is judged at the
 * document's own time, which AWS has signed; how old that may be is the policy's to say.
 *
 * @param rootHash - SHA-256 of the root's DER in hexadecimal; AWS's unless a test has its own
 */
export function nitroVerifier(rootHash: string = awsRootHash): EvidenceVerifier {
  return {
    type: "nitro",
    async verify(evidence) {
      const { payload, signature, signedBytes } = readCoseSign1(fieldBytes(evidence, "document"));
      const document = await readNitroDocument(payload);
      const path = [document.certificate, ...document.authorities.toReversed()].map((der) =>
        readCertificate(der, "a certificate of the document"),
      );
      const root = path.at(-1);
      if (root === undefined || createHash("sha256").update(root.raw).digest("hex") !== rootHash)
        throw badEvidence("the document's certificates do not lead to AWS's root");
      verifyPath(path, document.timestampMs, "the document's certificates");
      const key = path[0]?.publicKey;
      if (key?.asymmetricKeyDetails?.namedCurve !== "secp384r1")
        throw badEvidence("the document's key is not one on P-384");
      if (!verify("sha384", signedBytes, { key, dsaEncoding: "ieee-p1363" }, signature))
        throw badEvidence("the document's signature does not verify");
      const measurement = nitroMeasurement(document);
      if (document.userData?.length !== 32)
        throw badEvidence("the document's user_data is not the SHA-256 of a statement");
      return { statementHash: document.userData, measurement, madeAtMs: document.timestampMs };
    },
  };
}

/**
 * SHA-256 over the name of this format and PCR 0 to 2: the image, its kernel, and the application.
 *
 * @throws EnclaveError BAD_EVIDENCE: one is missing; or PCR 0 is zero, which is how an enclave with a debug console shows
 */
export function nitroMeasurement({ pcrs }: Pick<NitroDocument, "pcrs">): string {
  const hash = createHash("sha256").update("strongroom/fpc/v1/nitro-measurement\0");
  for (const index of [0, 1, 2]) {
    const pcr = pcrs.get(index);
    if (pcr === undefined) throw badEvidence(`the document has no PCR ${index}`);
    if (pcr.equals(Buffer.alloc(48))) throw badEvidence("the document is of an enclave in debug mode");
    hash.update(pcr);
  }
  return hash.digest("hex").toUpperCase();
}
