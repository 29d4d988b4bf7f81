import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../../errors.ts";
import { decodeArgument } from "../../messages/argument.ts";
import { RevocationRecordSchema } from "../../messages/generated/fpc/key_dist_pb.ts";
import { SignedRevocationStatementSchema } from "../../messages/generated/fpc/policy_pb.ts";
import { parseEnclaveId, readEnclaveId } from "../../protocol/enclave-id.ts";
import { checkReason, verifyRevocation } from "../../protocol/revocation.ts";
import { isRevoked, requireEnclave, requirePolicy } from "../enclaves.ts";
import { changeKeyState, endProposal, findKeyState } from "../generations.ts";
import { recordNames, writeRecord } from "../records.ts";
import { type RegistryState, recordTypes } from "../registry-state.ts";
import { readChaincodeId, requireAdmin, requireOrganisation, type Transaction } from "../transaction.ts";

/** revokeEnclave(chaincode, enclave id, reason): an organisation puts an enclave of its own out. */
export const revokeEnclave: Transaction = {
  parameters: ["chaincode", "enclave id", "reason"],
  async run(context, [chaincode, idText = "", reason = ""]) {
    requireAdmin(context);
    const chaincodeId = readChaincodeId(chaincode);
    const enclaveId = parseEnclaveId(idText).text;
    checkReason(reason, "the reason");
    const { mspId } = await requireEnclave(context.state, chaincodeId, enclaveId);
    requireOrganisation(context, mspId);
    await revoke(context.state, chaincodeId, enclaveId, reason);
    return "";
  },
};

/**
 * revokeByStatement(chaincode, SignedRevocationStatement): as many organisations as the policy's threshold put an enclave out,
 * whoever's it is. Any admin may bring their statement.
 */
export const revokeByStatement: Transaction = {
  parameters: ["chaincode", "SignedRevocationStatement"],
  async run(context, [chaincode, argument = ""]) {
    const { state } = context;
    requireAdmin(context);
    const chaincodeId = readChaincodeId(chaincode);
    const signed = decodeArgument(SignedRevocationStatementSchema, argument, ["statement", "signatures"]);
    const statement = verifyRevocation(signed, await requirePolicy(state, chaincodeId));
    const enclaveId = readEnclaveId(statement.enclaveId, "RevocationStatement.enclave_id").text;
    await requireEnclave(state, chaincodeId, enclaveId);
    await revoke(state, chaincodeId, enclaveId, statement.reason);
    return "";
  },
};

/**
 * What a revoked enclave may hold is not to be used any more: a newer generation has to follow the active one, and what is
 * proposed ends, for it may have been exported to the enclave.
 */
async function revoke(state: RegistryState, chaincodeId: string, enclaveId: string, reason: string): Promise<void> {
  if (await isRevoked(state, chaincodeId, enclaveId))
    throw new EnclaveError("ALREADY_SET", `enclave ${enclaveId} is revoked already`);
  const keyState = await findKeyState(state, chaincodeId);
  const mayHoldKeys = keyState !== undefined && (await mayHold(state, chaincodeId, enclaveId));
  const record = create(RevocationRecordSchema, {
    enclaveId: Buffer.from(enclaveId, "hex"),
    reason,
    revokedAtMs: BigInt(state.timestampMs),
    lastGeneration: keyState?.active ?? 0n,
    revokedByMsp: state.creator.mspId,
  });
  await writeRecord(state, recordNames.revoked(chaincodeId, enclaveId), RevocationRecordSchema, record);
  if (!mayHoldKeys) return;
  if (keyState.proposed !== 0n) await endProposal(state, chaincodeId, keyState.proposed);
  await changeKeyState(state, chaincodeId, keyState, { proposed: 0n, rotateAbove: keyState.active });
}

/** Whether the ledger tells of any way by which the enclave may have come by keys, used or not. */
async function mayHold(state: RegistryState, chaincodeId: string, enclaveId: string): Promise<boolean> {
  for (const name of [recordNames.provisioned(chaincodeId, enclaveId), recordNames.exported(chaincodeId, enclaveId)])
    if ((await state.get(name)) !== undefined) return true;
  for await (const _announced of state.scan(recordTypes.announced, [chaincodeId, enclaveId])) return true;
  for await (const _released of state.scan(recordTypes.released, [chaincodeId, enclaveId])) return true;
  return false;
}
