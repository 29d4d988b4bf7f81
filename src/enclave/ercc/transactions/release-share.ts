import { EnclaveError } from "../../errors.ts";
import { decodeArgument } from "../../messages/argument.ts";
import {
  type ReleasedShareMessage,
  SignedReleasedShareMessageSchema,
} from "../../messages/generated/fpc/key_dist_pb.ts";
import type { Policy } from "../../messages/generated/fpc/policy_pb.ts";
import { readEnclaveId } from "../../protocol/enclave-id.ts";
import { readReleasedShare, sharesNeeded, verifyReleasedShare } from "../../protocol/released-share.ts";
import { requireEndorser } from "../can-endorse.ts";
import { requireEnclave, requirePolicy } from "../enclaves.ts";
import { requireActive } from "../generations.ts";
import { type RecordReader, readRecord, recordNames, writeRecord } from "../records.ts";
import { readIssues } from "../recovery-issues.ts";
import type { RecordName } from "../registry-state.ts";
import { readChaincodeId, requireAdmin, requireOrganisation, type Transaction } from "../transaction.ts";

/**
 * releaseShare(chaincode, SignedReleasedShareMessage): an organisation lets an enclave have its recovery share of the active
 * generation, of one issue, encrypted to the enclave's attested EK. By its own admin, signed by its policy key. Once for each issue:
 * who wrote its own again in each block would keep a registration, which reads all of them, from ever being valid. Another one takes
 * the place of what does not count any more, after a change of the organisation's policy key or of the enclave's parameters.
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
    const policy = await requirePolicy(state, chaincodeId);
    verifyReleasedShare(signed, policy);
    await requireEndorser(state, evidence, chaincodeId, receiverId.text);
    if (!receiver.ccParamsHash.equals(message.ccParamsHash))
      throw new EnclaveError("WRONG_CONTEXT", "the share is for another channel, chaincode, version or sequence");
    const { number } = await requireActive(state, chaincodeId);
    if (message.generation !== number)
      throw new EnclaveError(
        "WRONG_CONTEXT",
        `the share is of generation ${message.generation}, not the active ${number}`,
      );
    const { issues } = await readIssues(state, chaincodeId, number);
    if (issues.length === 0)
      throw new EnclaveError("NOT_FOUND", `no recovery shares of generation ${number} of ${chaincodeId} were issued`);
    const issue = issues.find(({ hash }) => hash.equals(message.recoveryHash));
    if (issue === undefined)
      throw new EnclaveError("REPLAY", "the share is of other recovery shares than were issued of the generation");
    sharesNeeded(issue.message, policy);
    if (!issue.message.shares.some(({ mspId }) => mspId === message.mspId))
      throw new EnclaveError("POLICY_DENIED", `there is no share of ${message.mspId} in this issue of recovery shares`);
    const name = recordNames.released(chaincodeId, receiverId.text, message.mspId, issue.number);
    if (await standsAlready(state, name, message, policy))
      throw new EnclaveError(
        "ALREADY_SET",
        `${message.mspId} has released its share of this issue to enclave ${receiverId.text} already`,
      );
    await writeRecord(state, name, SignedReleasedShareMessageSchema, signed);
    return "";
  },
};

/** Whether what the organisation released before is as good as what comes now. */
async function standsAlready(
  state: RecordReader,
  name: RecordName,
  { ccParamsHash, recoveryHash }: ReleasedShareMessage,
  policy: Policy,
): Promise<boolean> {
  const signed = await readRecord(state, name, SignedReleasedShareMessageSchema);
  if (signed === undefined) return false;
  try {
    const standing = verifyReleasedShare(signed, policy);
    return (
      Buffer.from(standing.ccParamsHash).equals(ccParamsHash) && Buffer.from(standing.recoveryHash).equals(recoveryHash)
    );
  } catch (error) {
    if (error instanceof EnclaveError) return false;
    throw error;
  }
}
