import { whereWellFormed } from "../ercc/records.ts";
import type { RecoveryMessage, SignedRecoveryMessage } from "../messages/generated/fpc/key_dist_pb.ts";
import type { Policy } from "../messages/generated/fpc/policy_pb.ts";
import { readEnclaveId } from "../protocol/enclave-id.ts";
import { organisationOf } from "../protocol/policy.ts";
import { isForPolicy, readRecovery, recoveryHash } from "../protocol/recovery-form.ts";
import { readReleasedShare, sharesNeeded } from "../protocol/released-share.ts";
import type { RegistryClient } from "./registry-client.ts";

/** Recovery shares of a generation as they were issued once, and lie on the ledger from then on. */
export interface IssuedShares {
  /** From 1, in the order of the ledger. */
  readonly number: bigint;
  /** Whose enclave issued them. */
  readonly mspId: string;
  /** Who has a share each. */
  readonly holders: readonly string[];
  readonly signed: SignedRecoveryMessage;
  readonly message: RecoveryMessage;
}

/** Every issue that can be read: what a former release took beyond its limits is in nobody's way. */
export async function issuedShares(client: RegistryClient, generation: bigint): Promise<readonly IssuedShares[]> {
  const issues: IssuedShares[] = [];
  for (let number = 1n; ; number++) {
    const signed = await client.recovery(generation, number);
    if (signed === undefined) return issues;
    const message = whereWellFormed(() => readRecovery(signed));
    if (message === undefined) continue;
    const issuer = readEnclaveId(message.issuerEnclaveId, "RecoveryMessage.issuer_enclave_id").text;
    const { mspId } = await client.requireEnclave(issuer);
    issues.push({ number, mspId, holders: message.shares.map((share) => share.mspId), signed, message });
  }
}

/** Whose shares these are, and whether they are for the organisations of the policy in force or for former ones. */
export interface IssueStanding {
  readonly issuedBy: string;
  /** 0 where a former release issued them. */
  readonly policy: number;
  readonly isForPolicy: boolean;
}

/** @param policy - The one in force. */
export async function issueStandings(
  client: RegistryClient,
  generation: bigint,
  policy: Policy,
): Promise<readonly IssueStanding[]> {
  return (await issuedShares(client, generation)).map(({ mspId, message }) => ({
    issuedBy: mspId,
    policy: Number(message.policyNumber),
    isForPolicy: isForPolicy(message, policy),
  }));
}

/** One issue, and how far an enclave is with it. */
export interface ReleasedShares {
  readonly issue: IssuedShares;
  /** Organisations that let the enclave have theirs. */
  readonly releasedBy: readonly string[];
  /** How many have to. */
  readonly needed: number;
}

/** @param receiverId - Upper-case hexadecimal @throws EnclaveError POLICY_DENIED: the policy in force wants no recovery */
export async function releasedShares(
  client: RegistryClient,
  issues: readonly IssuedShares[],
  policy: Policy,
  receiverId: string,
): Promise<readonly ReleasedShares[]> {
  const released = (await client.releasedShares(receiverId)).flatMap(
    (signed) => whereWellFormed(() => readReleasedShare(signed)) ?? [],
  );
  return issues.map((issue) => {
    const hash = recoveryHash(issue.signed);
    const releasedBy = released
      .filter((one) => hash.equals(one.recoveryHash) && issue.holders.includes(one.mspId))
      .map(({ mspId }) => mspId)
      .filter((mspId) => organisationOf(policy, mspId) !== undefined);
    return { issue, releasedBy, needed: sharesNeeded(issue.message, policy) };
  });
}
