import { EnclaveError } from "../../errors.ts";
import {
  type SignedCCKeyRegistrationMessage,
  SignedCCKeyRegistrationMessageSchema,
} from "../../messages/generated/fpc/key_dist_pb.ts";
import type { Policy } from "../../messages/generated/fpc/policy_pb.ts";
import { hasMajority } from "../../protocol/generation.ts";
import { organisationOf } from "../../protocol/policy.ts";
import { readRegistration } from "../../protocol/registration.ts";
import { isDefined } from "../can-endorse.ts";
import { isRevoked, requireEnclave, requirePolicy } from "../enclaves.ts";
import { changeKeyState, requireGeneration, requireKeyState, writeGeneration } from "../generations.ts";
import { parseRecord, recordNames, writeRecord } from "../records.ts";
import { type RegistryState, recordTypes } from "../registry-state.ts";
import { readChaincodeId, readNumber, requireAdmin, type Transaction } from "../transaction.ts";

const hint = "the others confirm it by importing it: strongroom fpc keys import at each";

/**
 * activateGeneration(chaincode, number): the proposed generation becomes the active one, when more than half of the enclaves
 * that hold the former one, are not revoked and are of the chaincode's definition have confirmed it, and they are of more than
 * half of those enclaves' organisations (decision 0613). By an admin of one of the policy's organisations.
 */
export const activateGeneration: Transaction = {
  parameters: ["chaincode", "number"],
  async run(context, [chaincode, numberText]) {
    const { state } = context;
    requireAdmin(context);
    const chaincodeId = readChaincodeId(chaincode);
    const number = readNumber(numberText, "the generation");
    const policy = await requirePolicy(state, chaincodeId);
    if (organisationOf(policy, state.creator.mspId) === undefined)
      throw new EnclaveError("UNAUTHORIZED", `${state.creator.mspId} is not among the policy's organisations`);
    const keyState = await requireKeyState(state, chaincodeId);
    if (keyState.proposed !== number)
      throw new EnclaveError("NOT_FOUND", `generation ${number} of ${chaincodeId} is not proposed`);
    const proposed = await requireGeneration(state, chaincodeId, number);
    const former = await requireGeneration(state, chaincodeId, keyState.active);
    const confirmations = await readConfirmations(state, chaincodeId, number, proposed.chaincodeEk);
    const voters = await readVoters(state, chaincodeId, policy);
    if (!hasMajority(confirmations.keys(), voters.keys(), new Set())) {
      const votes = [...voters.keys()].filter((id) => confirmations.has(id)).length;
      throw new EnclaveError(
        "POLICY_DENIED",
        `${votes} of ${voters.size} enclaves have confirmed generation ${number}, and more than half have to`,
        { hint },
      );
    }
    // An organisation makes as many enclaves as it likes: alone, it could take the keys to where no other has them.
    const having = [...voters].filter(([id]) => confirmations.has(id)).map(([, mspId]) => mspId);
    if (!hasMajority(having, voters.values(), new Set()))
      throw new EnclaveError(
        "POLICY_DENIED",
        `enclaves of ${new Set(having).size} of ${new Set(voters.values()).size} organisations have confirmed generation ${number}, and more than half have to`,
        { hint },
      );

    const atMs = BigInt(state.timestampMs);
    const confirmedBy = [...confirmations.keys()].map((id) => Buffer.from(id, "hex"));
    await writeGeneration(state, chaincodeId, number, { ...proposed, state: "active", changedAtMs: atMs, confirmedBy });
    await writeGeneration(state, chaincodeId, keyState.active, { ...former, state: "superseded", changedAtMs: atMs });
    await state.put(recordNames.chaincodeEk(chaincodeId), proposed.chaincodeEk);
    await changeKeyState(state, chaincodeId, keyState, { active: number, proposed: 0n });
    // What an enclave signed as its confirmation is now the proof that it holds the active keys.
    for (const [enclaveId, signed] of confirmations)
      await writeRecord(
        state,
        recordNames.provisioned(chaincodeId, enclaveId),
        SignedCCKeyRegistrationMessageSchema,
        signed,
      );
    return "";
  },
};

/** By enclave id, in the order of the ids. */
async function readConfirmations(
  state: RegistryState,
  chaincodeId: string,
  number: bigint,
  chaincodeEk: Uint8Array,
): Promise<ReadonlyMap<string, SignedCCKeyRegistrationMessage>> {
  const confirmations = new Map<string, SignedCCKeyRegistrationMessage>();
  for await (const { attributes, value } of state.scan(recordTypes.confirmed, [chaincodeId, `${number}`])) {
    const signed = parseRecord(value, SignedCCKeyRegistrationMessageSchema);
    const enclaveId = attributes[2] ?? "";
    if (!Buffer.from(chaincodeEk).equals(readRegistration(signed).chaincodeEk)) continue;
    if (!(await isRevoked(state, chaincodeId, enclaveId))) confirmations.set(enclaveId, signed);
  }
  return confirmations;
}

/** Organisations by enclave. Enclaves of a version before the definition's endorse nothing any more: they would hold up every rotation. */
async function readVoters(
  state: RegistryState,
  chaincodeId: string,
  policy: Policy,
): Promise<ReadonlyMap<string, string>> {
  const definition = await state.definition(chaincodeId);
  if (definition === undefined) throw new EnclaveError("NOT_FOUND", `the channel has no chaincode ${chaincodeId}`);
  const voters = new Map<string, string>();
  for await (const { attributes } of state.scan(recordTypes.provisioned, [chaincodeId])) {
    const enclaveId = attributes[1] ?? "";
    if (await isRevoked(state, chaincodeId, enclaveId)) continue;
    const { ccParams, mspId } = await requireEnclave(state, chaincodeId, enclaveId);
    if (isDefined(ccParams, definition, policy)) voters.set(enclaveId, mspId);
  }
  return voters;
}
