import { SignedReleasedShareMessageSchema } from "../messages/generated/fpc/key_dist_pb.ts";
import { organisationOf } from "../protocol/policy.ts";
import { readReleasedShare, sharesNeeded } from "../protocol/released-share.ts";
import { requirePolicy } from "./enclaves.ts";
import { parseRecord, whereWellFormed } from "./records.ts";
import { readIssues } from "./recovery-issues.ts";
import { type RegistryState, recordTypes } from "./registry-state.ts";

/** Whether enough organisations of the policy have released their shares of one and the same issue of this generation to the enclave. */
export async function hasRecovered(
  state: RegistryState,
  chaincodeId: string,
  enclaveId: string,
  generation: bigint,
): Promise<boolean> {
  const { issues } = await readIssues(state, chaincodeId, generation);
  if (issues.length === 0) return false;
  const policy = await requirePolicy(state, chaincodeId);
  if (policy.recoveryThreshold === 0) return false;
  const releasers = new Map(issues.map(({ hash }) => [hash.toString("hex"), new Set<string>()]));
  for await (const { value } of state.scan(recordTypes.released, [chaincodeId, enclaveId])) {
    const release = whereWellFormed(() => readReleasedShare(parseRecord(value, SignedReleasedShareMessageSchema)));
    if (release !== undefined && organisationOf(policy, release.mspId) !== undefined)
      releasers.get(Buffer.from(release.recoveryHash).toString("hex"))?.add(release.mspId);
  }
  return issues.some(({ message, hash }) => {
    const holders = message.shares.filter(({ mspId }) => releasers.get(hash.toString("hex"))?.has(mspId));
    return holders.length >= sharesNeeded(message, policy);
  });
}
