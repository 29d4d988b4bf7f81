import { EnclaveError } from "../../errors.ts";
import { decodeArgument } from "../../messages/argument.ts";
import { SignedReleasedShareMessageSchema } from "../../messages/generated/fpc/key_dist_pb.ts";
import { readEnclaveId } from "../../protocol/enclave-id.ts";
import { readReleasedShare, verifyReleasedShare } from "../../protocol/released-share.ts";
import { requireEndorser } from "../can-endorse.ts";
import { requireEnclave, requirePolicy } from "../enclaves.ts";
import { requireActive } from "../generations.ts";
import { recordNames, writeRecord } from "../records.ts";
import { readIssues } from "../recovery-issues.ts";
import { readChaincodeId, requireAdmin, requireOrganisation, type Transaction } from "../transaction.ts";

/**
 * releaseShare(chaincode, SignedReleasedShareMessage): an organisation lets an enclave have its recovery share of the active
 * generation, of one issue, encrypted to the enclave's attested EK. By its own admin, signed by its policy key. A later one of the
 * same issue takes the place of the one before.
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
    const issues = await readIssues(state, chaincodeId, number);
    if (issues.length === 0)
      throw new EnclaveError("NOT_FOUND", `no recovery shares of generation ${number} of ${chaincodeId} were issued`);
    const issue = issues.find(({ hash }) => hash.equals(message.recoveryHash));
    if (issue === undefined)
      throw new EnclaveError("REPLAY", "the share is of other recovery shares than were issued of the generation");
    const name = recordNames.released(chaincodeId, receiverId.text, message.mspId, issue.number);
    await writeRecord(state, name, SignedReleasedShareMessageSchema, signed);
    return "";
  },
};
