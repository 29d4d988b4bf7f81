import { EnclaveError } from "../../errors.ts";
import { decodeArgument } from "../../messages/argument.ts";
import {
  SignedRecoveryMessageSchema,
  SignedReleasedShareMessageSchema,
} from "../../messages/generated/fpc/key_dist_pb.ts";
import { readEnclaveId } from "../../protocol/enclave-id.ts";
import { recoveryHash } from "../../protocol/recovery-form.ts";
import { readReleasedShare, verifyReleasedShare } from "../../protocol/released-share.ts";
import { requireEndorser } from "../can-endorse.ts";
import { requireEnclave, requirePolicy } from "../enclaves.ts";
import { requireActive } from "../generations.ts";
import { readRecord, recordNames, writeRecord } from "../records.ts";
import { readChaincodeId, requireAdmin, requireOrganisation, type Transaction } from "../transaction.ts";

/**
 * releaseShare(chaincode, SignedReleasedShareMessage): an organisation lets an enclave have its recovery share of the active
 * generation, encrypted to the enclave's attested EK. By its own admin, signed by its policy key. A later one takes the place of
 * the one before.
 */
export const releaseShare: Transaction = {
  parameters: ["chaincode", "SignedReleasedShareMessage"],
  async run(context, [chaincode, argument = ""]) {
    const { state, evidence } = context;
    requireAdmin(context);
    const chaincodeId = readChaincodeId(chaincode);
    const signed = decodeArgument(SignedReleasedShareMessageSchema, argument);
    const message = readReleasedShare(signed);
    requireOrganisation(context, message.mspId);
    const receiverId = readEnclaveId(message.receiverEnclaveId, "ReleasedShareMessage.receiver_enclave_id");
    const receiver = await requireEnclave(state, chaincodeId, receiverId.text);
    verifyReleasedShare(signed, await requirePolicy(state, chaincodeId));
    await requireEndorser(state, evidence, chaincodeId, receiverId.text);
    if (!receiver.ccParamsHash.equals(message.ccParamsHash))
      throw new EnclaveError("WRONG_CONTEXT", "the share is for another channel, chaincode, version or sequence");
    const { number } = await requireActive(state, chaincodeId);
    if (message.generation !== number)
      throw new EnclaveError(
        "WRONG_CONTEXT",
        `the share is of generation ${message.generation}, not the active ${number}`,
      );
    const recovery = await readRecord(state, recordNames.recovery(chaincodeId, number), SignedRecoveryMessageSchema);
    if (recovery === undefined)
      throw new EnclaveError("NOT_FOUND", `no recovery shares of generation ${number} of ${chaincodeId} were issued`);
    if (!recoveryHash(recovery).equals(message.recoveryHash))
      throw new EnclaveError("REPLAY", "the share is of recovery shares that newer ones have replaced");
    const name = recordNames.released(chaincodeId, receiverId.text, message.mspId);
    await writeRecord(state, name, SignedReleasedShareMessageSchema, signed);
    return "";
  },
};
