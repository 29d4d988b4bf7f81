import type { KeyObject } from "node:crypto";
import { EnclaveError } from "../errors.ts";
import { SignedReleasedShareMessageSchema } from "../messages/generated/fpc/key_dist_pb.ts";
import { encode } from "../messages/strict.ts";
import { openShare } from "../protocol/recovery.ts";
import { readRecovery } from "../protocol/recovery-form.ts";
import { releaseShare } from "../protocol/released-share.ts";
import type { EnclaveAgent } from "../stub/agent.ts";
import { madeOrThere, registerKeys } from "./provisioning.ts";
import type { RegistryClient } from "./registry-client.ts";

/** Puts shares of the active generation on the ledger, one for each organisation of the policy. @returns The generation's number */
export async function issueShares(client: RegistryClient, stub: EnclaveAgent): Promise<bigint> {
  await client.submit("putRecovery", client.chaincodeId, await stub.issueRecovery());
  return await activeGeneration(client);
}

/** An organisation's keys, which it holds itself: its policy key (P-256) and its recovery key (RSA-3072). */
export interface OrganisationKeys {
  readonly policyKey: KeyObject;
  readonly recoveryKey: KeyObject;
}

/**
 * An organisation opens its share of the active generation and lets an enclave have it, encrypted to that enclave's attested key.
 *
 * @param receiverId - Of a registered enclave, upper-case hexadecimal
 * @throws EnclaveError NOT_FOUND: no shares were issued, none for this organisation, or there is no such enclave; BAD_CIPHERTEXT: the recovery key
 *   is another; what ERCC refuses with
 */
export async function releaseOwnShare(
  client: RegistryClient,
  keys: OrganisationKeys,
  receiverId: string,
): Promise<void> {
  const generation = await activeGeneration(client);
  const recovery = await client.recovery(generation);
  if (recovery === undefined)
    throw new EnclaveError("NOT_FOUND", `no recovery shares of generation ${generation} were issued`, {
      hint: "an enclave that holds the keys issues them: strongroom fpc keys share",
    });
  const receiver = await client.requireEnclave(receiverId);
  using share = openShare(readRecovery(recovery), client.mspId, keys.recoveryKey);
  const released = releaseShare({ recovery, mspId: client.mspId, share, receiver }, keys.policyKey);
  await client.submit("releaseShare", client.chaincodeId, encode(SignedReleasedShareMessageSchema, released));
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
