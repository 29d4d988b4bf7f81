import { EnclaveError } from "../../errors.ts";
import { decodeArgument } from "../../messages/argument.ts";
import { type Policy, SignedPolicySchema } from "../../messages/generated/fpc/policy_pb.ts";
import { organisationOf, readPolicy, verifySignedPolicy } from "../../protocol/policy.ts";
import { findPolicy } from "../enclaves.ts";
import { endorsingOrganisations } from "../endorsement-policy.ts";
import { recordNames, writeRecord } from "../records.ts";
import type { RegistryState } from "../registry-state.ts";
import { readChaincodeId, requireAdmin, type Transaction } from "../transaction.ts";

/**
 * setPolicy(chaincode, SignedPolicy): brings the next policy document into force. By an admin of one of its organisations; that
 * it may follow is in its signatures. Each stays on the ledger under its number.
 */
export const setPolicy: Transaction = {
  parameters: ["chaincode", "SignedPolicy"],
  async run(context, [chaincode, argument = ""]) {
    const { state } = context;
    requireAdmin(context);
    const chaincodeId = readChaincodeId(chaincode);
    const signed = decodeArgument(SignedPolicySchema, argument, ["policy", "signatures"]);
    const policy = readPolicy(signed.policy);
    if (policy.channelId !== state.channelId || policy.chaincodeId !== chaincodeId)
      throw new EnclaveError("WRONG_CONTEXT", "the policy is for another channel or chaincode");
    if (organisationOf(policy, state.creator.mspId) === undefined)
      throw new EnclaveError("UNAUTHORIZED", `${state.creator.mspId} is not among the policy's organisations`);
    const previous = await findPolicy(state, chaincodeId);
    verifySignedPolicy(signed, previous);
    if (previous === undefined) await checkFirst(state, policy);
    await writeRecord(state, recordNames.policy(chaincodeId), SignedPolicySchema, signed);
    await writeRecord(state, recordNames.policy(chaincodeId, policy.number), SignedPolicySchema, signed);
    return "";
  },
};

/**
 * The first policy is signed by whom it names itself. So that nobody takes a chaincode for his own by being first, it has to
 * name every organisation that the chaincode's endorsement policy has, which the channel's members agreed on.
 */
async function checkFirst(state: RegistryState, policy: Policy): Promise<void> {
  const definition = await state.definition(policy.chaincodeId);
  if (definition === undefined)
    throw new EnclaveError("NOT_FOUND", `the channel has no chaincode ${policy.chaincodeId}: define it first`);
  for (const mspId of endorsingOrganisations(definition.validationParameter))
    if (organisationOf(policy, mspId) === undefined)
      throw new EnclaveError(
        "POLICY_DENIED",
        `the first policy does not name ${mspId}, which endorses for the chaincode`,
      );
}
