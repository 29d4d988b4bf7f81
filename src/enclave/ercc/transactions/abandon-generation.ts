import { EnclaveError } from "../../errors.ts";
import { readEnclaveId } from "../../protocol/enclave-id.ts";
import { isExportExpired, organisationOf } from "../../protocol/policy.ts";
import { requireEnclave, requirePolicy } from "../enclaves.ts";
import {
  changeKeyState,
  endProposal,
  readGenerationProposal,
  requireGeneration,
  requireKeyState,
} from "../generations.ts";
import { readChaincodeId, readNumber, requireAdmin, type Transaction } from "../transaction.ts";

/**
 * abandonGeneration(chaincode, number): ends a proposal. By an admin of the proposer's organisation, or, once the proposal is
 * older than the lifetime that the policy gives exports, of any of the policy's organisations.
 */
export const abandonGeneration: Transaction = {
  parameters: ["chaincode", "number"],
  async run(context, [chaincode, numberText]) {
    const { state } = context;
    requireAdmin(context);
    const chaincodeId = readChaincodeId(chaincode);
    const number = readNumber(numberText, "the generation");
    const policy = await requirePolicy(state, chaincodeId);
    const keyState = await requireKeyState(state, chaincodeId);
    if (keyState.proposed !== number)
      throw new EnclaveError("NOT_FOUND", `generation ${number} of ${chaincodeId} is not proposed`);
    const record = await requireGeneration(state, chaincodeId, number);
    const { proposerEnclaveId } = readGenerationProposal(record);
    const proposerId = readEnclaveId(proposerEnclaveId, "GenerationProposalMessage.proposer_enclave_id");
    const { mspId } = await requireEnclave(state, chaincodeId, proposerId.text);
    const isExpired = isExportExpired(policy, Number(record.proposedAtMs), state.timestampMs);
    const mayEnd = isExpired
      ? organisationOf(policy, state.creator.mspId) !== undefined
      : state.creator.mspId === mspId;
    if (!mayEnd)
      throw new EnclaveError(
        "UNAUTHORIZED",
        `generation ${number} is abandoned by an admin of ${mspId}, or by one of the policy's organisations once it has expired`,
      );
    await endProposal(state, chaincodeId, number);
    await changeKeyState(state, chaincodeId, keyState, { proposed: 0n });
    return "";
  },
};
