import { EnclaveError } from "../../errors.ts";
import type { GenerationRecord } from "../../messages/generated/fpc/key_dist_pb.ts";
import type { Policy } from "../../messages/generated/fpc/policy_pb.ts";
import { readEnclaveId } from "../../protocol/enclave-id.ts";
import { organisationOf } from "../../protocol/policy.ts";
import { requireEnclave, requirePolicy } from "../enclaves.ts";
import {
  changeKeyState,
  endProposal,
  readGenerationProposal,
  requireGeneration,
  requireKeyState,
  writeGeneration,
} from "../generations.ts";
import { readChaincodeId, readNumber, requireAdmin, type Transaction } from "../transaction.ts";

/**
 * abandonGeneration(chaincode, number): ends a proposal. By an admin of the proposer's organisation at once; by others when as
 * many of the policy's organisations as its threshold have called for it, each by an admin of its own. No time counts: every
 * time is its proposal's creator's (decision 0628).
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
    const proposer = await requireEnclave(state, chaincodeId, proposerId.text);
    if (state.creator.mspId !== proposer.mspId) {
      const votes = withVote(record, policy, state.creator.mspId, proposer.mspId);
      if (votes.length < policy.threshold) {
        await writeGeneration(state, chaincodeId, number, { ...record, abandonVotes: votes });
        return "";
      }
    }
    await endProposal(state, chaincodeId, number);
    await changeKeyState(state, chaincodeId, keyState, { proposed: 0n });
    return "";
  },
};

/** Sorted; of organisations that are in the policy now. */
function withVote({ abandonVotes }: GenerationRecord, policy: Policy, voter: string, proposer: string): string[] {
  if (organisationOf(policy, voter) === undefined)
    throw new EnclaveError(
      "UNAUTHORIZED",
      `a proposal is abandoned by an admin of ${proposer}, or by as many of the policy's organisations as its threshold`,
    );
  if (abandonVotes.includes(voter))
    throw new EnclaveError("ALREADY_SET", `${voter} has called for the end of this proposal already`);
  return [...abandonVotes, voter].filter((mspId) => organisationOf(policy, mspId) !== undefined).sort();
}
