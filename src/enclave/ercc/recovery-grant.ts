import {
  SignedRecoveryMessageSchema,
  SignedReleasedShareMessageSchema,
} from "../messages/generated/fpc/key_dist_pb.ts";
import { organisationOf } from "../protocol/policy.ts";
import { readRecovery, recoveryHash } from "../protocol/recovery-form.ts";
import { readReleasedShare } from "../protocol/released-share.ts";
import { requirePolicy } from "./enclaves.ts";
import { parseRecord, readRecord, recordNames } from "./records.ts";
import { type RegistryState, recordTypes } from "./registry-state.ts";

/** Whether enough organisations of the policy have released shares of this generation, as they are issued now, to the enclave. */
export async function hasRecovered(
  state: RegistryState,
  chaincodeId: string,
  enclaveId: string,
  generation: bigint,
): Promise<boolean> {
  const recovery = await readRecord(state, recordNames.recovery(chaincodeId, generation), SignedRecoveryMessageSchema);
  if (recovery === undefined) return false;
  const policy = await requirePolicy(state, chaincodeId);
  const hash = recoveryHash(recovery);
  const releasers = new Set<string>();
  for await (const { value } of state.scan(recordTypes.released, [chaincodeId, enclaveId])) {
    const released = readReleasedShare(parseRecord(value, SignedReleasedShareMessageSchema));
    if (hash.equals(released.recoveryHash) && organisationOf(policy, released.mspId) !== undefined)
      releasers.add(released.mspId);
  }
  return releasers.size >= readRecovery(recovery).threshold;
}
