import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../../errors.ts";
import { decodeArgument } from "../../messages/argument.ts";
import { type ExportEntry, ExportEntrySchema } from "../../messages/generated/fpc/ercc_pb.ts";
import { type ExportMessage, SignedExportMessageSchema } from "../../messages/generated/fpc/key_dist_pb.ts";
import type { Policy } from "../../messages/generated/fpc/policy_pb.ts";
import { enclaveIdOf } from "../../protocol/enclave-id.ts";
import { readExport, verifyExport } from "../../protocol/export.ts";
import { isExportExpired } from "../../protocol/policy.ts";
import { requireEndorser } from "../can-endorse.ts";
import { isRevoked, type RegisteredEnclave, requireEnclave, requirePolicy } from "../enclaves.ts";
import { checkAllowed, checkGeneration } from "../export-checks.ts";
import { findOpen, hasRegistered } from "../generations.ts";
import { readRecord, recordNames, writeRecord } from "../records.ts";
import type { RegistryState } from "../registry-state.ts";
import { readChaincodeId, requireAdmin, requireOrganisation, type Transaction } from "../transaction.ts";

/**
 * putKeyExport(chaincode, SignedExportMessage): steps 19 and 20 of the document, for the active generation or the proposed one,
 * by an admin of the sender's organisation (decision 0607).
 */
export const putKeyExport: Transaction = {
  parameters: ["chaincode", "SignedExportMessage"],
  async run(context, [chaincode, argument = ""]) {
    const { state, evidence } = context;
    requireAdmin(context);
    const chaincodeId = readChaincodeId(chaincode);
    const signed = decodeArgument(SignedExportMessageSchema, argument);
    const message = readExport(signed);
    const senderId = enclaveIdOf(message.senderEnclaveVk);
    const receiverId = enclaveIdOf(message.receiverEnclaveVk);
    const sender = await requireEnclave(state, chaincodeId, senderId.text);
    const receiver = await requireEnclave(state, chaincodeId, receiverId.text);
    requireOrganisation(context, sender.mspId);
    checkParameters(chaincodeId, sender, receiver, message);
    await requireEndorser(state, evidence, chaincodeId, receiverId.text);
    const policy = await requirePolicy(state, chaincodeId);
    await checkAllowed(state, chaincodeId, sender, receiver, policy);
    verifyExport(signed);
    await checkGeneration(state, chaincodeId, senderId.text, message.generation, message.chaincodeEk);
    await checkSlot(state, chaincodeId, receiver, message, policy);

    const entry = create(ExportEntrySchema, {
      putAtMs: BigInt(state.timestampMs),
      senderEnclaveId: senderId.bytes,
    });
    await writeRecord(state, recordNames.exported(chaincodeId, receiverId.text), SignedExportMessageSchema, signed);
    await writeRecord(state, recordNames.exportEntry(chaincodeId, receiverId.text), ExportEntrySchema, entry);
    return "";
  },
};

/** Step 19b: both enclaves are of this chaincode, with the parameters that the sender signed. */
function checkParameters(
  chaincodeId: string,
  sender: RegisteredEnclave,
  receiver: RegisteredEnclave,
  message: ExportMessage,
): void {
  if (sender.enclaveId.text === receiver.enclaveId.text)
    throw new EnclaveError("WRONG_CONTEXT", "an enclave does not export to itself");
  for (const { ccParams } of [sender, receiver])
    if (ccParams.chaincodeId !== chaincodeId)
      throw new EnclaveError("WRONG_CONTEXT", `an enclave of the export is for another chaincode than ${chaincodeId}`);
  if (!sender.ccParamsHash.equals(message.ccParamsHash) || !receiver.ccParamsHash.equals(message.receiverCcParamsHash))
    throw new EnclaveError("WRONG_CONTEXT", "the export is for another channel, chaincode, version or sequence");
}

/** A slot is free when what lies in it has done its work, or cannot do it any more. */
async function checkSlot(
  state: RegistryState,
  chaincodeId: string,
  receiver: RegisteredEnclave,
  message: ExportMessage,
  policy: Policy,
): Promise<void> {
  const receiverId = receiver.enclaveId.text;
  const signed = await readRecord(state, recordNames.exported(chaincodeId, receiverId), SignedExportMessageSchema);
  const entry = await readRecord(state, recordNames.exportEntry(chaincodeId, receiverId), ExportEntrySchema);
  if (signed === undefined || entry === undefined) return;
  const former = readExport(signed);
  if (Buffer.from(former.exportNonce).equals(message.exportNonce))
    throw new EnclaveError("REPLAY", `this export lies in the slot of enclave ${receiverId} already`);
  // The receiver has attested for a later sequence since, and imports nothing that is for another.
  if (!receiver.ccParamsHash.equals(former.receiverCcParamsHash)) return;
  if (await isSpent(state, chaincodeId, receiverId, former, entry, policy)) return;
  throw new EnclaveError(
    "CONFLICT",
    `an export of generation ${former.generation} waits for enclave ${receiverId}: let it be imported, or expire`,
  );
}

async function isSpent(
  state: RegistryState,
  chaincodeId: string,
  receiverId: string,
  former: ExportMessage,
  { putAtMs, senderEnclaveId }: ExportEntry,
  policy: Policy,
): Promise<boolean> {
  const generation = await findOpen(state, chaincodeId, former.generation);
  if (generation === undefined || !Buffer.from(generation.chaincodeEk).equals(former.chaincodeEk)) return true;
  if (await hasRegistered(state, chaincodeId, receiverId, generation)) return true;
  const senderId = Buffer.from(senderEnclaveId).toString("hex").toUpperCase();
  if (await isRevoked(state, chaincodeId, senderId)) return true;
  return isExportExpired(policy, Number(putAtMs), state.timestampMs);
}
