import { EnclaveError } from "../errors.ts";
import type {
  RecoveryMessage,
  SignedCCKeyRegistrationMessage,
  SignedRecoveryMessage,
  SignedReleasedShareMessage,
} from "../messages/generated/fpc/key_dist_pb.ts";
import type { Policy } from "../messages/generated/fpc/policy_pb.ts";
import type { ChaincodeGeneration } from "../protocol/chaincode-keys.ts";
import { maxOrganisations } from "../protocol/policy-form.ts";
import { issueRecovery } from "../protocol/recovery.ts";
import { checkShares } from "../protocol/recovery-check.ts";
import { readRecovery, recoveryHash } from "../protocol/recovery-form.ts";
import { readReleasedShare, recoverGeneration } from "../protocol/released-share.ts";
import { activeGeneration } from "./active-generation.ts";
import { registrationOf } from "./generate.ts";
import { withHistory } from "./history.ts";
import { checkLedgerKey, checkStateKey } from "./ledger-key.ts";
import type { OpenEnclave } from "./open-enclave.ts";
import type { PolicyInForce } from "./policy-in-force.ts";

/**
 * Shares of the active generation for the organisations of the policy in force.
 *
 * @throws EnclaveError as {@link activeGeneration}; POLICY_DENIED: the policy wants none
 */
export async function issueRecoveryShares(
  enclave: OpenEnclave,
  policyInForce: PolicyInForce,
): Promise<SignedRecoveryMessage> {
  const { keys } = await activeGeneration(enclave);
  const { read, signingKey } = enclave.identity;
  return issueRecovery({
    ccParamsHash: read.ccParamsHash,
    generation: keys,
    policy: await policyInForce.read(),
    issuer: { enclaveId: read.enclaveId.bytes, sk: signingKey },
  });
}

/**
 * Verifies one issue of shares of the active generation, as it is on the ledger: that any of them, as many as it says, open the
 * generation that this enclave holds.
 *
 * @param number - From 1, in the order of the ledger.
 * @returns Its hash, by which released shares name it: 32 bytes
 * @throws EnclaveError as {@link activeGeneration}; NOT_FOUND: there is no such issue, or it has nothing to verify it by;
 *   BAD_CIPHERTEXT: its shares are of no use
 */
export async function checkRecoveryShares(enclave: OpenEnclave, number: bigint): Promise<Buffer> {
  const { keys } = await activeGeneration(enclave);
  const signed = await enclave.ledger.recovery(keys.number, number);
  if (signed === undefined)
    throw new EnclaveError(
      "NOT_FOUND",
      `the ledger has no issue ${number} of recovery shares of the active generation`,
    );
  await checkShares(keys, readWhole(signed));
  return recoveryHash(signed);
}

/**
 * An issue that is not of its form is of no use, as one that does not open: who asks has others issued beside it. Where the ledger's
 * answer cannot be had, the issue may be right.
 */
function readWhole(signed: SignedRecoveryMessage): RecoveryMessage {
  try {
    return readRecovery(signed);
  } catch (cause) {
    if (!(cause instanceof EnclaveError)) throw cause;
    throw new EnclaveError("BAD_CIPHERTEXT", `the recovery shares cannot be read: ${cause.message}`, { cause });
  }
}

/**
 * The keys out of the shares that organisations released to this enclave on the ledger; sealed and stored before the message
 * exists. Of several issues the first is taken of which enough were released, and that holds the keys.
 *
 * @throws EnclaveError KEYS_EXIST; NOT_FOUND: the ledger has no recovery shares; POLICY_DENIED: too few are released;
 *   EK_MISMATCH; BAD_CIPHERTEXT; STORE_FAILED; MALFORMED, or what the ledger could not be read for, where too few are left without it
 */
export async function recoverKeys(
  enclave: OpenEnclave,
  policyInForce: PolicyInForce,
): Promise<SignedCCKeyRegistrationMessage> {
  if (enclave.generations.length > 0)
    throw new EnclaveError("KEYS_EXIST", "this enclave holds chaincode keys already", {
      hint: "re-emit their registration, or discard them if the ledger has others",
    });
  const active = (await enclave.ledger.keyState())?.active;
  const policy = await policyInForce.read();
  const { issues, refusal } = await releasedOf(enclave, active, policy);
  if (issues.length === 0 && refusal !== undefined) throw refusal;
  if (issues.length === 0)
    throw new EnclaveError("NOT_FOUND", "the ledger has no recovery shares of the active generation", {
      hint: "an enclave that holds the keys issues them: strongroom fpc keys share",
    });
  const generation = await openFirst(enclave, issues, policy, refusal);
  enclave.parts.reached("opened");
  const generations = await withHistory(enclave, generation);
  await enclave.keep(generations);
  return registrationOf(enclave, enclave.newest());
}

interface ReleasedIssue {
  readonly recovery: SignedRecoveryMessage;
  readonly released: readonly SignedReleasedShareMessage[];
}

interface ReleasedIssues {
  /** Those of which most was released come first. */
  readonly issues: readonly ReleasedIssue[];
  /** Why the first thing could not be read that was passed over. */
  readonly refusal: EnclaveError | undefined;
}

/**
 * Every issue of a generation with what was released of it to this enclave. What cannot be read is passed over, issue or release:
 * no organisation holds up the others. Issues end where the ledger has no more, so that of these it is MALFORMED ones alone, and
 * not more than there may be organisations: a host can say so of every number.
 */
async function releasedOf(
  { ledger, identity }: OpenEnclave,
  generation: bigint | undefined,
  { organisations }: Policy,
): Promise<ReleasedIssues> {
  const issues: ReleasedIssue[] = [];
  const refusals: EnclaveError[] = [];
  let unreadable = 0;
  for (let number = 1n; generation !== undefined; number++)
    try {
      const recovery = await ledger.recovery(generation, number);
      if (recovery === undefined) break;
      const released: SignedReleasedShareMessage[] = [];
      for (const { mspId } of organisations)
        try {
          const share = await ledger.released(identity.read.enclaveId.text, mspId, number);
          // One of an issue of before, when there was only one of each generation, is of no use, and no reason to leave the others.
          if (share !== undefined && recoveryHash(recovery).equals(readReleasedShare(share).recoveryHash))
            released.push(share);
        } catch (error) {
          if (!(error instanceof EnclaveError)) throw error;
          refusals.push(new EnclaveError(error.code, `what ${mspId} released cannot be read: ${error.message}`));
        }
      issues.push({ recovery, released });
    } catch (error) {
      if (!(error instanceof EnclaveError) || error.code !== "MALFORMED") throw error;
      if (++unreadable > maxOrganisations) throw error;
      refusals.push(error);
    }
  return { issues: issues.sort((a, b) => b.released.length - a.released.length), refusal: refusals[0] };
}

/**
 * @param unread - Why something was passed over that might have done.
 * @throws EnclaveError why it was, or else why the first of them does not open, where none does
 */
async function openFirst(
  enclave: OpenEnclave,
  issues: readonly ReleasedIssue[],
  policy: Policy,
  unread: EnclaveError | undefined,
): Promise<ChaincodeGeneration> {
  const { ledger, identity } = enclave;
  const { vkPem, ccParamsHash } = identity.read;
  const receiver = { dk: identity.decryptionKey, vkPem, ccParamsHash };
  let refusal = unread;
  for (const { recovery, released } of issues)
    try {
      const message = readRecovery(recovery);
      await checkLedgerKey(enclave, message.generation, message.chaincodeEk);
      const generation = await recoverGeneration(recovery, released, policy, receiver);
      try {
        checkStateKey(generation, await ledger.generation(generation.number));
        return generation;
      } catch (error) {
        generation[Symbol.dispose]();
        throw error;
      }
    } catch (error) {
      if (!(error instanceof EnclaveError)) throw error;
      refusal ??= error;
    }
  throw refusal ?? new EnclaveError("NOT_FOUND", "the ledger has no recovery shares of the active generation");
}
