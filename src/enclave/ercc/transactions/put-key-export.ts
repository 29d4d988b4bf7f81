import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../../errors.ts";
import { decodeArgument } from "../../messages/argument.ts";
import { type ExportEntry, ExportEntrySchema } from "../../messages/generated/fpc/ercc_pb.ts";
import { type ExportMessage, SignedExportMessageSchema } from "../../messages/generated/fpc/key_dist_pb.ts";
import type { Policy } from "../../messages/generated/fpc/policy_pb.ts";
import { enclaveIdOf } from "../../protocol/enclave-id.ts";
import { readExport, verifyExport } from "../../protocol/export.ts";
import { allowsExport, isExportExpired, mayInherit } from "../../protocol/policy.ts";
import { requireEndorser } from "../can-endorse.ts";
import { isRevoked, type RegisteredEnclave, requireEnclave, requirePolicy } from "../enclaves.ts";
import { findOpen, hasRegistered, type OpenGeneration, requireKeyState } from "../generations.ts";
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
    await checkGeneration(state, chaincodeId, senderId.text, message);
    await checkSlot(state, chaincodeId, receiverId.text, message, policy);

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

/** What the policy document says of these two, beyond step 19c. */
async function checkAllowed(
  state: RegistryState,
  chaincodeId: string,
  sender: RegisteredEnclave,
  receiver: RegisteredEnclave,
  policy: Policy,
): Promise<void> {
  // The sender may be of the version before, which endorses nothing any more; but it must not be put out.
  if (await isRevoked(state, chaincodeId, sender.enclaveId.text))
    throw new EnclaveError("POLICY_DENIED", `the sender, enclave ${sender.enclaveId.text}, is revoked`);
  if (!mayInherit(policy, sender.ccParams, receiver.ccParams))
    throw new EnclaveError(
      "POLICY_DENIED",
      "the receiver is of another version or sequence, and not the policy's successor",
    );
  if (!allowsExport(policy, sender.mspId, receiver.mspId))
    throw new EnclaveError("POLICY_DENIED", `the policy has no export from ${sender.mspId} to ${receiver.mspId}`);
}

/** Steps 19e and 19f, and that no revocation has put an end to the generation. */
async function checkGeneration(
  state: RegistryState,
  chaincodeId: string,
  senderId: string,
  { generation: number, chaincodeEk }: ExportMessage,
): Promise<void> {
  const generation = await findOpen(state, chaincodeId, number);
  const claimed: OpenGeneration = { number, standing: generation?.standing ?? "active", chaincodeEk };
  if (!(await hasRegistered(state, chaincodeId, senderId, claimed)))
    throw new EnclaveError(
      "NOT_PROVISIONED",
      `enclave ${senderId} has not registered this key as generation ${number}`,
    );
  if (generation === undefined || !Buffer.from(generation.chaincodeEk).equals(chaincodeEk))
    throw new EnclaveError("EK_MISMATCH", `generation ${number} of this key is neither the active one nor proposed`);
  const { rotateAbove } = await requireKeyState(state, chaincodeId);
  if (number <= rotateAbove)
    throw new EnclaveError("POLICY_DENIED", `a revoked enclave may hold generation ${number}: rotate the keys first`);
}

/** A slot is free when what lies in it has done its work, or cannot do it any more. */
async function checkSlot(
  state: RegistryState,
  chaincodeId: string,
  receiverId: string,
  message: ExportMessage,
  policy: Policy,
): Promise<void> {
  const signed = await readRecord(state, recordNames.exported(chaincodeId, receiverId), SignedExportMessageSchema);
  const entry = await readRecord(state, recordNames.exportEntry(chaincodeId, receiverId), ExportEntrySchema);
  if (signed === undefined || entry === undefined) return;
  const former = readExport(signed);
  if (Buffer.from(former.exportNonce).equals(message.exportNonce))
    throw new EnclaveError("REPLAY", `this export lies in the slot of enclave ${receiverId} already`);
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
