import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../../errors.ts";
import { decodeArgument } from "../../messages/argument.ts";
import {
  GenerationRecordSchema,
  SignedGenerationProposalMessageSchema,
} from "../../messages/generated/fpc/key_dist_pb.ts";
import { readEnclaveId } from "../../protocol/enclave-id.ts";
import { checkHash } from "../../protocol/fields.ts";
import { ekHashOf, readProposal, verifyProposal } from "../../protocol/generation.ts";
import { requireEndorser } from "../can-endorse.ts";
import { requireEnclave } from "../enclaves.ts";
import { changeKeyState, hasRegistered, requireActive, requireKeyState, writeGeneration } from "../generations.ts";
import { recordNames } from "../records.ts";
import { readChaincodeId, requireAdmin, requireOrganisation, type Transaction } from "../transaction.ts";

/**
 * proposeGeneration(chaincode, SignedGenerationProposalMessage): an enclave that holds the active generation offers the next
 * (decision 0613). There is one proposal at a time; it is then exported and confirmed like any other generation.
 */
export const proposeGeneration: Transaction = {
  parameters: ["chaincode", "SignedGenerationProposalMessage"],
  async run(context, [chaincode, argument = ""]) {
    const { state, evidence } = context;
    requireAdmin(context);
    const chaincodeId = readChaincodeId(chaincode);
    const signed = decodeArgument(SignedGenerationProposalMessageSchema, argument);
    const message = readProposal(signed);
    checkHash(message.stateKeyCommitment, "GenerationProposalMessage.state_key_commitment");
    const proposerId = readEnclaveId(message.proposerEnclaveId, "GenerationProposalMessage.proposer_enclave_id");
    const proposer = await requireEnclave(state, chaincodeId, proposerId.text);
    requireOrganisation(context, proposer.mspId);
    verifyProposal(signed, proposer.vkPem);
    await requireEndorser(state, evidence, chaincodeId, proposerId.text);
    if (!proposer.ccParamsHash.equals(message.ccParamsHash))
      throw new EnclaveError("WRONG_CONTEXT", "the proposal is for another channel, chaincode, version or sequence");

    const keyState = await requireKeyState(state, chaincodeId);
    const active = await requireActive(state, chaincodeId);
    if (!(await hasRegistered(state, chaincodeId, proposerId.text, active)))
      throw new EnclaveError("NOT_PROVISIONED", `enclave ${proposerId.text} does not hold generation ${active.number}`);
    if (keyState.proposed !== 0n)
      throw new EnclaveError("CONFLICT", `generation ${keyState.proposed} is proposed: activate or abandon it first`);
    if (message.number !== active.number + 1n)
      throw new EnclaveError(
        "CONFLICT",
        `generation ${message.number} does not follow ${active.number}, the active one`,
      );
    if (!ekHashOf(active.chaincodeEk).equals(message.previousChaincodeEkHash))
      throw new EnclaveError("EK_MISMATCH", "the proposal follows another chaincode key than the ledger has");
    if (Buffer.from(active.chaincodeEk).equals(message.chaincodeEk))
      throw new EnclaveError("EK_MISMATCH", "the proposal has the chaincode key that is in force");
    // It went to enclaves already, one of which may have been put out since.
    const abandoned = recordNames.abandoned(chaincodeId, message.number, ekHashOf(message.chaincodeEk));
    if ((await state.get(abandoned)) !== undefined)
      throw new EnclaveError(
        "REPLAY",
        `this key was proposed before, and abandoned: generation ${message.number} needs another`,
      );

    const atMs = BigInt(state.timestampMs);
    const record = create(GenerationRecordSchema, {
      proposal: signed,
      state: "proposed",
      proposedAtMs: atMs,
      changedAtMs: atMs,
      chaincodeEk: message.chaincodeEk,
      stateKeyCommitment: message.stateKeyCommitment,
    });
    await writeGeneration(state, chaincodeId, message.number, record);
    await changeKeyState(state, chaincodeId, keyState, { proposed: message.number });
    return "";
  },
};
