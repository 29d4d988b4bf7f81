import { EnclaveError } from "../../errors.ts";
import { decodeArgument } from "../../messages/argument.ts";
import { type RecoveryMessage, SignedRecoveryMessageSchema } from "../../messages/generated/fpc/key_dist_pb.ts";
import { readEnclaveId } from "../../protocol/enclave-id.ts";
import { checkGeneration } from "../../protocol/fields.ts";
import { readRecovery, verifyRecovery } from "../../protocol/recovery-form.ts";
import { requireEndorser } from "../can-endorse.ts";
import { requireEnclave, requirePolicy } from "../enclaves.ts";
import { hasRegistered, requireActive } from "../generations.ts";
import { recordNames, writeRecord } from "../records.ts";
import { type RecoveryIssue, readIssues } from "../recovery-issues.ts";
import type { RegistryState } from "../registry-state.ts";
import { readChaincodeId, requireAdmin, requireOrganisation, type Transaction } from "../transaction.ts";

/**
 * putRecovery(chaincode, SignedRecoveryMessage): an enclave that holds the active generation issues its recovery shares, for the
 * organisations of the policy in force. Each organisation's enclaves can do so once for each generation and policy, beside what
 * others issued, or former ones: nothing takes the place of an issue, or of what was released of it (decision 0631).
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
    const policy = await requirePolicy(state, chaincodeId);
    verifyRecovery(signed, issuer.vkPem, policy);
    checkComplete(message);
    if (message.policyNumber !== policy.number)
      throw new EnclaveError(
        "POLICY_DENIED",
        `the recovery shares are for policy ${message.policyNumber}, and ${policy.number} is in force`,
      );
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
    const { issues, nextNumber } = await readIssues(state, chaincodeId, active.number);
    await requireFirst(state, chaincodeId, issuer.mspId, message, issues);
    const name = recordNames.recovery(chaincodeId, active.number, nextNumber);
    await writeRecord(state, name, SignedRecoveryMessageSchema, signed);
    return "";
  },
};

/** What shares of former releases are without, and are no good without to those who have to rely on them. */
function checkComplete({ policyNumber, sealedShares }: RecoveryMessage): void {
  checkGeneration(policyNumber, "RecoveryMessage.policy_number");
  if (sealedShares.length === 0)
    throw new EnclaveError("MALFORMED", "RecoveryMessage.sealed_shares is missing or empty");
}

async function requireFirst(
  state: RegistryState,
  chaincodeId: string,
  mspId: string,
  { policyNumber, generation }: RecoveryMessage,
  issues: readonly RecoveryIssue[],
): Promise<void> {
  for (const { message } of issues) {
    if (message.policyNumber !== policyNumber) continue;
    const id = readEnclaveId(message.issuerEnclaveId, "RecoveryMessage.issuer_enclave_id").text;
    if ((await requireEnclave(state, chaincodeId, id)).mspId !== mspId) continue;
    throw new EnclaveError(
      "ALREADY_SET",
      `${mspId} has issued recovery shares of generation ${generation} for policy ${policyNumber} already`,
      { hint: "they stand as they are: strongroom fpc keys share verifies them" },
    );
  }
}
