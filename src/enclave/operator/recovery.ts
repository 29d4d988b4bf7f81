import { createPublicKey, type KeyObject } from "node:crypto";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { EnclaveError } from "../errors.ts";
import { SignedReleasedShareMessageSchema } from "../messages/generated/fpc/key_dist_pb.ts";
import type { Policy } from "../messages/generated/fpc/policy_pb.ts";
import { encode } from "../messages/strict.ts";
import { readEncryptionKey } from "../protocol/key-formats.ts";
import { organisationOf } from "../protocol/policy.ts";
import { openShare } from "../protocol/recovery.ts";
import { isForPolicy, recoveryHash } from "../protocol/recovery-form.ts";
import { releaseShare } from "../protocol/released-share.ts";
import type { EnclaveAgent } from "../stub/agent.ts";
import { madeOrThere, registerKeys } from "./provisioning.ts";
import { type IssuedShares, issuedShares, type ReleasedShares, releasedShares } from "./recovery-issues.ts";
import type { RegistryClient } from "./registry-client.ts";
import type { RegistryView } from "./registry-view.ts";

/** An organisation's keys, which it holds itself: its policy key (P-256) and its recovery key (RSA-3072). */
export interface OrganisationKeys {
  readonly policyKey: KeyObject;
  readonly recoveryKey: KeyObject;
}

/** An issue that is of no use to an organisation. */
export interface UselessIssue {
  readonly issue: IssuedShares;
  readonly because: string;
}

/** Shares of the active generation that an organisation can rely on. */
export interface GoodShares {
  readonly generation: bigint;
  /** For which they were issued: the one in force, or one of the same organisations, recovery keys and number of them before it. */
  readonly policyNumber: bigint;
  readonly issue: IssuedShares;
  /** Whether they are new: else they were there, and the organisation's enclave has verified them. */
  readonly isNew: boolean;
  /** Others that were issued for the same. */
  readonly useless: readonly UselessIssue[];
}

/**
 * Sees to it that there are shares of the active generation for the policy in force that this organisation can rely on: verifies
 * those that were issued, its enclave that they fit and itself, by its recovery key, that it was given its own; and has shares
 * issued where there are none, or none that are right. Called again, it verifies and issues nothing.
 *
 * @param recoveryKey - The organisation's private one; left out, its own share is not opened.
 * @throws EnclaveError BAD_CIPHERTEXT: what its own enclaves issued is of no use, and nobody else issued better; SETTINGS_INVALID:
 *   `recoveryKey` is not the one that the policy names; CONFLICT: another organisation's came first, or this peer shows another
 *   ledger than the enclave believes; what the enclave and ERCC refuse with
 */
export async function issueShares(
  client: RegistryClient,
  stub: EnclaveAgent,
  recoveryKey?: KeyObject,
): Promise<GoodShares> {
  const generation = await activeGeneration(client);
  const policy = await client.policy();
  const isHolder = organisationOf(policy, client.mspId) !== undefined;
  const opening = isHolder ? recoveryKey : undefined;
  if (opening !== undefined) checkRecoveryKey(policy, client.mspId, opening);
  const useless: UselessIssue[] = [];
  for (const issue of await issuedShares(client, generation)) {
    const { message } = issue;
    if (!isForPolicy(message, policy) || message.sealedShares.length === 0) continue;
    const because = await whyUseless(issue, client.mspId, stub, opening);
    if (because === undefined) return { generation, policyNumber: message.policyNumber, issue, isNew: false, useless };
    useless.push({ issue, because });
  }
  const own = useless.find((one) => isOwnFor(one.issue, client.mspId, policy));
  if (own !== undefined)
    throw new EnclaveError(
      "BAD_CIPHERTEXT",
      `the recovery shares that ${client.mspId} issued are of no use: ${own.because}`,
      {
        hint: "have another organisation's enclave issue its own (keys share); who issued these is no right enclave: revoke it, and rotate the keys",
      },
    );
  await client.submit("putRecovery", client.chaincodeId, await stub.issueRecovery());
  const issue = (await issuedShares(client, generation)).find((one) => isOwnFor(one, client.mspId, policy));
  if (issue === undefined)
    throw new EnclaveError("LEDGER_UNAVAILABLE", "the peer does not show the recovery shares that were just issued");
  if (opening !== undefined) openShare(issue.message, client.mspId, opening)[Symbol.dispose]();
  return { generation, policyNumber: policy.number, issue, isNew: true, useless };
}

/** Of which an organisation's enclaves can issue one alone. */
function isOwnFor({ mspId, message }: IssuedShares, own: string, { number }: Policy): boolean {
  return mspId === own && message.policyNumber === number;
}

/** @throws EnclaveError SETTINGS_INVALID */
function checkRecoveryKey(policy: Policy, mspId: string, recoveryKey: KeyObject): void {
  const named = organisationOf(policy, mspId);
  if (named === undefined) return;
  if (createPublicKey(recoveryKey).equals(readEncryptionKey(named.recoveryKey, "Organisation.recovery_key"))) return;
  throw new EnclaveError(
    "SETTINGS_INVALID",
    `the recovery key of ${mspId} is not the one that policy ${policy.number} names`,
    { hint: "its shares would open with the one that is named alone" },
  );
}

/** Undefined where the issue is right, as far as this organisation can see. */
async function whyUseless(
  { number, signed, message }: IssuedShares,
  mspId: string,
  stub: EnclaveAgent,
  recoveryKey: KeyObject | undefined,
): Promise<string | undefined> {
  try {
    const verified = await stub.checkRecovery(number);
    if (!recoveryHash(signed).equals(verified))
      throw new EnclaveError("CONFLICT", "the peer shows other recovery shares than the enclave finds on the ledger");
    if (recoveryKey !== undefined) openShare(message, mspId, recoveryKey)[Symbol.dispose]();
    return undefined;
  } catch (error) {
    if (error instanceof EnclaveError && error.code === "BAD_CIPHERTEXT") return error.message;
    throw error;
  }
}

/** What an organisation let an enclave have. */
export interface Release {
  readonly generation: bigint;
  /** Every issue of the generation, with this organisation among those who released theirs, but of those in `useless`. */
  readonly shares: readonly ReleasedShares[];
  /** Issues of which this organisation has no share, or not the one that was issued. */
  readonly useless: readonly UselessIssue[];
}

/**
 * An organisation opens its share of each issue of the active generation and lets an enclave have it, encrypted to that enclave's
 * attested key. Of each: which one is right may not be known any more, and k of any other open nothing.
 *
 * @param view - Whose word is taken for the receiver's key: who makes it up reads the shares
 * @param receiverId - Of a registered enclave, upper-case hexadecimal
 * @throws EnclaveError NOT_FOUND: no shares were issued, none for this organisation, or there is no such enclave; BAD_CIPHERTEXT: the recovery key
 *   is another; what ERCC refuses with
 */
export async function releaseOwnShares(
  client: RegistryClient,
  view: RegistryView,
  keys: OrganisationKeys,
  receiverId: string,
): Promise<Release> {
  const generation = await activeGeneration(client);
  const issues = await requireIssues(client, generation);
  const receiver = await view.requireEnclave(receiverId);
  const useless: UselessIssue[] = [];
  let refusal: EnclaveError | undefined;
  for (const issue of issues) {
    const { signed: recovery, message } = issue;
    let opened: SecretBuffer;
    try {
      opened = openShare(message, client.mspId, keys.recoveryKey);
    } catch (error) {
      if (!(error instanceof EnclaveError)) throw error;
      refusal ??= error;
      useless.push({ issue, because: error.message });
      continue;
    }
    using share = opened;
    const released = releaseShare({ recovery, mspId: client.mspId, share, receiver }, keys.policyKey);
    const text = encode(SignedReleasedShareMessageSchema, released);
    await client.submit("releaseShare", client.chaincodeId, text).catch((error: unknown) => {
      // Released before, to the same enclave, and it stands.
      if (!(error instanceof EnclaveError && error.code === "ALREADY_SET")) throw error;
    });
  }
  if (refusal !== undefined && useless.length === issues.length) throw refusal;
  const shares = await releasedShares(client, issues, await client.policy(), receiverId);
  return { generation, shares, useless };
}

/** @throws EnclaveError NOT_FOUND: the active generation has none */
export async function requireIssues(client: RegistryClient, generation?: bigint): Promise<readonly IssuedShares[]> {
  const number = generation ?? (await activeGeneration(client));
  const issues = await issuedShares(client, number);
  if (issues.length > 0) return issues;
  throw new EnclaveError("NOT_FOUND", `no recovery shares of generation ${number} were issued`, {
    hint: "an enclave that holds the keys issues them: strongroom fpc keys share",
  });
}

/**
 * Has an enclave without keys put them together from the shares that were released to it, and registers that it holds them. Called
 * again after an interruption, it goes on.
 */
export async function recoverKeys(client: RegistryClient, stub: EnclaveAgent): Promise<void> {
  await registerKeys(client, stub, await madeOrThere(stub, stub.recover()));
}

async function activeGeneration(client: RegistryClient): Promise<bigint> {
  const state = await client.keyState();
  if (state === undefined) throw new EnclaveError("NOT_FOUND", `${client.chaincodeId} has no keys on the channel`);
  return state.active;
}
