import { EnclaveError } from "../errors.ts";
import { CredentialsSchema } from "../messages/generated/fpc/fpc_pb.ts";
import { RevocationRecordSchema } from "../messages/generated/fpc/key_dist_pb.ts";
import { type Policy, SignedPolicySchema } from "../messages/generated/fpc/policy_pb.ts";
import { type ReadCredentials, readCredentials } from "../protocol/attested-data.ts";
import { readPolicy } from "../protocol/policy.ts";
import { type RecordReader, readRecord, recordNames } from "./records.ts";

/** An enclave as the ledger knows it. */
export interface RegisteredEnclave extends ReadCredentials {
  readonly attestation: Uint8Array;
  readonly evidence: Uint8Array;
}

/** @param enclaveId - Upper-case hexadecimal. */
export async function findEnclave(
  state: RecordReader,
  chaincodeId: string,
  enclaveId: string,
): Promise<RegisteredEnclave | undefined> {
  const credentials = await readRecord(state, recordNames.credentials(chaincodeId, enclaveId), CredentialsSchema);
  if (credentials === undefined) return undefined;
  const { attestation, evidence } = credentials;
  return { ...readCredentials(credentials), attestation, evidence };
}

/** @throws EnclaveError NOT_REGISTERED */
export async function requireEnclave(
  state: RecordReader,
  chaincodeId: string,
  enclaveId: string,
): Promise<RegisteredEnclave> {
  const enclave = await findEnclave(state, chaincodeId, enclaveId);
  if (enclave === undefined)
    throw new EnclaveError(
      "NOT_REGISTERED",
      `the ledger has no credentials of enclave ${enclaveId} for ${chaincodeId}`,
    );
  return enclave;
}

export async function isRevoked(state: RecordReader, chaincodeId: string, enclaveId: string): Promise<boolean> {
  return (await readRecord(state, recordNames.revoked(chaincodeId, enclaveId), RevocationRecordSchema)) !== undefined;
}

/** The policy in force. */
export async function findPolicy(state: RecordReader, chaincodeId: string): Promise<Policy | undefined> {
  const signed = await readRecord(state, recordNames.policy(chaincodeId), SignedPolicySchema);
  return signed === undefined ? undefined : readPolicy(signed.policy);
}

/** @throws EnclaveError POLICY_DENIED: there is none, so that nothing is allowed */
export async function requirePolicy(state: RecordReader, chaincodeId: string): Promise<Policy> {
  const policy = await findPolicy(state, chaincodeId);
  if (policy === undefined)
    throw new EnclaveError("POLICY_DENIED", `${chaincodeId} has no policy document: set one first`);
  return policy;
}
