import { EnclaveError } from "../errors.ts";
import type {
  SignedCCKeyRegistrationMessage,
  SignedRecoveryMessage,
  SignedReleasedShareMessage,
} from "../messages/generated/fpc/key_dist_pb.ts";
import { issueRecovery } from "../protocol/recovery.ts";
import { readRecovery, recoveryHash } from "../protocol/recovery-form.ts";
import { readReleasedShare, recoverGeneration } from "../protocol/released-share.ts";
import { activeGeneration } from "./active-generation.ts";
import { registrationOf } from "./generate.ts";
import { withHistory } from "./history.ts";
import { checkLedgerKey } from "./ledger-key.ts";
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
 * The keys out of the shares that organisations released to this enclave on the ledger; sealed and stored before the message
 * exists.
 *
 * @throws EnclaveError KEYS_EXIST; NOT_FOUND: the ledger has no recovery shares; POLICY_DENIED: too few are released;
 *   EK_MISMATCH; BAD_CIPHERTEXT; STORE_FAILED
 */
export async function recoverKeys(
  enclave: OpenEnclave,
  policyInForce: PolicyInForce,
): Promise<SignedCCKeyRegistrationMessage> {
  if (enclave.generations.length > 0)
    throw new EnclaveError("KEYS_EXIST", "this enclave holds chaincode keys already", {
      hint: "re-emit their registration, or discard them if the ledger has others",
    });
  const { ledger } = enclave;
  const { read, decryptionKey } = enclave.identity;
  const active = (await ledger.keyState())?.active;
  const recovery = active === undefined ? undefined : await ledger.recovery(active);
  if (recovery === undefined)
    throw new EnclaveError("NOT_FOUND", "the ledger has no recovery shares of the active generation", {
      hint: "an enclave that holds the keys issues them: strongroom fpc keys share",
    });
  const message = readRecovery(recovery);
  await checkLedgerKey(enclave, message.generation, message.chaincodeEk);

  const policy = await policyInForce.read();
  const released: SignedReleasedShareMessage[] = [];
  for (const { mspId } of policy.organisations) {
    const share = await ledger.released(read.enclaveId.text, mspId);
    // One of shares that were issued before is of no use, and no reason to leave the others.
    if (share !== undefined && recoveryHash(recovery).equals(readReleasedShare(share).recoveryHash))
      released.push(share);
  }
  const receiver = { dk: decryptionKey, vkPem: read.vkPem, ccParamsHash: read.ccParamsHash };
  const generation = await recoverGeneration(recovery, released, policy, receiver);
  enclave.parts.reached("opened");
  const generations = await withHistory(enclave, generation);
  await enclave.keep(generations);
  return registrationOf(enclave, enclave.newest());
}
