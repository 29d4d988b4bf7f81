import { EnclaveError } from "../../errors.ts";
import { decodeArgument } from "../../messages/argument.ts";
import { SignedRecoveryMessageSchema } from "../../messages/generated/fpc/key_dist_pb.ts";
import { readEnclaveId } from "../../protocol/enclave-id.ts";
import { readRecovery, verifyRecovery } from "../../protocol/recovery-form.ts";
import { requireEndorser } from "../can-endorse.ts";
import { requireEnclave, requirePolicy } from "../enclaves.ts";
import { hasRegistered, requireActive } from "../generations.ts";
import { recordNames, writeRecord } from "../records.ts";
import { readChaincodeId, requireAdmin, requireOrganisation, type Transaction } from "../transaction.ts";

/**
 * putRecovery(chaincode, SignedRecoveryMessage): an enclave that holds the active generation issues its recovery shares, for the
 * organisations of the policy in force. They take the place of those issued before, and of what was released of them.
 */
export const putRecovery: Transaction = {
  parameters: ["chaincode", "SignedRecoveryMessage"],
  async run(context, [chaincode, argument = ""]) {
    const { state, evidence } = context;
    requireAdmin(context);
    const chaincodeId = readChaincodeId(chaincode);
    const signed = decodeArgument(SignedRecoveryMessageSchema, argument);
    const message = readRecovery(signed);
    const issuerId = readEnclaveId(message.issuerEnclaveId, "RecoveryMessage.issuer_enclave_id");
    const issuer = await requireEnclave(state, chaincodeId, issuerId.text);
    requireOrganisation(context, issuer.mspId);
    verifyRecovery(signed, issuer.vkPem, await requirePolicy(state, chaincodeId));
    await requireEndorser(state, evidence, chaincodeId, issuerId.text);
    if (!issuer.ccParamsHash.equals(message.ccParamsHash))
      throw new EnclaveError(
        "WRONG_CONTEXT",
        "the recovery shares are for another channel, chaincode, version or sequence",
      );
    const active = await requireActive(state, chaincodeId);
    if (message.generation !== active.number)
      throw new EnclaveError(
        "WRONG_CONTEXT",
        `the recovery shares are of generation ${message.generation}, not the active`,
      );
    if (!Buffer.from(active.chaincodeEk).equals(message.chaincodeEk))
      throw new EnclaveError("EK_MISMATCH", "the recovery shares are of another chaincode key than the active one");
    if (!(await hasRegistered(state, chaincodeId, issuerId.text, active)))
      throw new EnclaveError("NOT_PROVISIONED", `enclave ${issuerId.text} does not hold generation ${active.number}`);
    await writeRecord(state, recordNames.recovery(chaincodeId, active.number), SignedRecoveryMessageSchema, signed);
    return "";
  },
};
