import { create } from "@bufbuild/protobuf";
import { CredentialsSchema } from "../../messages/generated/fpc/fpc_pb.ts";
import { decodeStrict, encode } from "../../messages/strict.ts";

/** What an enclave shows of itself: the attestation that its platform made of a statement, and what it takes to judge it. */
export interface Evidence {
  readonly attestation: Uint8Array;
  readonly evidence: Uint8Array;
}

/** Makes evidence over a statement of 32 bytes. */
export type Attester = (statement: Uint8Array) => Promise<Evidence>;

/** Judges the other side's evidence over a statement. @throws EnclaveError BAD_EVIDENCE */
export type EvidenceCheck = (statement: Uint8Array, evidence: Evidence) => Promise<void>;

/** As it stands in key exchange messages: fpc.Credentials without attested data, for the statement is what was said. */
export function encodeEvidence({ attestation, evidence }: Evidence): Buffer {
  return encode(CredentialsSchema, create(CredentialsSchema, { attestation, evidence }));
}

/** @throws EnclaveError MALFORMED */
export function decodeEvidence(bytes: Uint8Array): Evidence {
  const { attestation, evidence } = decodeStrict(CredentialsSchema, bytes, ["attestation", "evidence"]);
  return { attestation, evidence };
}
