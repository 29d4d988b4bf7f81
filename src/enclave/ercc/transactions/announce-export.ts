import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../../errors.ts";
import { ExportAnnouncementSchema } from "../../messages/generated/fpc/ercc_pb.ts";
import { parseEnclaveId } from "../../protocol/enclave-id.ts";
import { ekHashOf } from "../../protocol/generation.ts";
import { requireEndorser } from "../can-endorse.ts";
import { requireEnclave, requirePolicy } from "../enclaves.ts";
import { checkAllowed, checkGeneration } from "../export-checks.ts";
import { findOpen } from "../generations.ts";
import { recordNames, writeRecord } from "../records.ts";
import { readChaincodeId, readNumber, requireAdmin, requireOrganisation, type Transaction } from "../transaction.ts";

/**
 * announceExport(chaincode, sender's id, receiver's id, generation): says that the sender is about to give the receiver this
 * generation, by an admin of the sender's organisation. An enclave lets keys go only after it has seen this on the ledger, and
 * who was announced counts as a holder where it is revoked, whatever becomes of the export (decision 0626). Again: nothing new.
 */
export const announceExport: Transaction = {
  parameters: ["chaincode", "sender's id", "receiver's id", "generation"],
  async run(context, [chaincode, senderText = "", receiverText = "", numberText]) {
    const { state, evidence } = context;
    requireAdmin(context);
    const chaincodeId = readChaincodeId(chaincode);
    const senderId = parseEnclaveId(senderText).text;
    const receiverId = parseEnclaveId(receiverText).text;
    const number = readNumber(numberText, "the generation");
    const sender = await requireEnclave(state, chaincodeId, senderId);
    const receiver = await requireEnclave(state, chaincodeId, receiverId);
    requireOrganisation(context, sender.mspId);
    if (senderId === receiverId)
      throw new EnclaveError("WRONG_CONTEXT", "an enclave does not export to itself", {
        hint: "name another enclave as the receiver: strongroom fpc enclave list",
      });
    await requireEndorser(state, evidence, chaincodeId, receiverId);
    await checkAllowed(state, chaincodeId, sender, receiver, await requirePolicy(state, chaincodeId));
    const open = await findOpen(state, chaincodeId, number);
    if (open === undefined)
      throw new EnclaveError("EK_MISMATCH", `generation ${number} is neither the active one nor proposed`);
    await checkGeneration(state, chaincodeId, senderId, number, open.chaincodeEk);
    const announcement = create(ExportAnnouncementSchema, {
      generation: number,
      chaincodeEkHash: ekHashOf(open.chaincodeEk),
      announcedAtMs: BigInt(state.timestampMs),
    });
    const name = recordNames.announced(chaincodeId, receiverId, senderId);
    await writeRecord(state, name, ExportAnnouncementSchema, announcement);
    return "";
  },
};
