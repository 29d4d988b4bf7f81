import { createHash, verify, X509Certificate } from "node:crypto";
import { EnclaveError } from "../errors.ts";
import { readMessage } from "../ledger/fabric-message.ts";
import { type ReadProposal, readProposal } from "../ledger/proposal.ts";
import { SerializedIdentitySchema, type SignedProposal } from "../messages/generated/fabric/peer_pb.ts";
import type { Caller } from "./confidential-chaincode.ts";

/** What a client asked a chaincode for, and under which certificate. */
export interface CallersProposal extends ReadProposal {
  readonly caller: Caller;
}

/**
 * Reads a signed proposal: its signature is by the certificate that it names, and its transaction id is the one that belongs to
 * its nonce and creator. Whether the certificate is one of the channel's is for the trusted ledger, and for peers, to say.
 *
 * @throws EnclaveError MALFORMED, BAD_SIGNATURE
 */
export function readSignedProposal(signed: SignedProposal): CallersProposal {
  const proposal = readProposal(signed.proposalBytes);
  const { mspid, idBytes } = readMessage(SerializedIdentitySchema, proposal.creator);
  const certificate = readCertificate(idBytes);
  if (!verify("sha256", signed.proposalBytes, certificate.publicKey, signed.signature))
    throw new EnclaveError("BAD_SIGNATURE", "the proposal is not signed by the certificate that it names");
  const certificateHash = createHash("sha256").update(certificate.raw).digest("hex").toUpperCase();
  return { ...proposal, caller: { mspId: mspid, certificateHash } };
}

function readCertificate(pem: Uint8Array): X509Certificate {
  let certificate: X509Certificate | undefined;
  try {
    certificate = new X509Certificate(pem);
  } catch {
    // Said below.
  }
  if (certificate?.publicKey.asymmetricKeyDetails?.namedCurve !== "prime256v1")
    throw new EnclaveError("MALFORMED", "SerializedIdentity.id_bytes is not a certificate of a P-256 key");
  return certificate;
}
