import { EnclaveError } from "../errors.ts";
import {
  type ExportMessage,
  type SignedCCKeyRegistrationMessage,
  type SignedExportMessage,
  SignedExportMessageSchema,
} from "../messages/generated/fpc/key_dist_pb.ts";
import { decodeStrict, encode } from "../messages/strict.ts";
import { enclaveIdOf } from "../protocol/enclave-id.ts";
import { openExport, verifyExport } from "../protocol/export.ts";
import { mayInherit } from "../protocol/policy.ts";
import { registrationOf } from "./generate.ts";
import { withHistory } from "./history.ts";
import { checkLedgerKey } from "./ledger-key.ts";
import type { OpenEnclave } from "./open-enclave.ts";
import type { PolicyInForce } from "./policy-in-force.ts";

/**
 * Steps 23 to 27 of the document: the exported generation, and with it all before it, sealed and stored before the message
 * exists.
 *
 * @param bytes - SignedExportMessage.
 * @throws EnclaveError MALFORMED; BAD_SIGNATURE; WRONG_CONTEXT: for another enclave, chaincode or channel; KEYS_EXIST; NOT_FOUND:
 *   the ledger has no export for this enclave; REPLAY: it has another; EK_MISMATCH; BAD_CIPHERTEXT; STORE_FAILED
 */
export async function importKeys(
  enclave: OpenEnclave,
  policyInForce: PolicyInForce,
  bytes: Uint8Array,
): Promise<SignedCCKeyRegistrationMessage> {
  const signed = decodeStrict(SignedExportMessageSchema, bytes, ["serialized_export_msg_bytes", "signature"]);
  const message = verifyExport(signed);
  const { read, decryptionKey } = enclave.identity;
  if (!read.vkPem.equals(message.receiverEnclaveVk))
    throw new EnclaveError("WRONG_CONTEXT", "the export is for another enclave");
  if (!read.ccParamsHash.equals(message.receiverCcParamsHash))
    throw new EnclaveError("WRONG_CONTEXT", "the export is for other parameters than this chaincode's");
  const newest = enclave.generations.at(-1);
  if (newest !== undefined && newest.keys.number >= message.generation)
    throw new EnclaveError("KEYS_EXIST", `this enclave holds generation ${newest.keys.number} of the keys already`, {
      hint: "re-emit their registration, or discard them if the ledger has others",
    });

  await checkOnLedger(enclave, signed);
  await checkLedgerKey(enclave, message.generation, message.chaincodeEk);
  const predecessor = await predecessorHash(enclave, policyInForce, message);
  const generation = openExport(signed, {
    dk: decryptionKey,
    ccParamsHash: read.ccParamsHash,
    vkPem: read.vkPem,
    ...(predecessor === undefined ? {} : { predecessorCcParamsHash: predecessor }),
  });
  enclave.parts.reached("opened");
  const generations = await withHistory(enclave, generation);
  await enclave.keep(generations);
  return registrationOf(enclave, enclave.newest());
}

/** Step 24: peers have accepted exactly this message, and it is the last for this enclave. */
async function checkOnLedger(enclave: OpenEnclave, signed: SignedExportMessage): Promise<void> {
  const onLedger = await enclave.ledger.exported(enclave.identity.read.enclaveId.text);
  if (onLedger === undefined)
    throw new EnclaveError("NOT_FOUND", "the ledger has no export of the keys for this enclave");
  const same = encode(SignedExportMessageSchema, onLedger).equals(encode(SignedExportMessageSchema, signed));
  if (!same) throw new EnclaveError("REPLAY", "the export is not the one that the ledger has for this enclave");
}

/** Of a sender of an earlier version, where the policy names this enclave's as the one to follow it (decision 0612). */
async function predecessorHash(
  enclave: OpenEnclave,
  policyInForce: PolicyInForce,
  message: ExportMessage,
): Promise<Uint8Array | undefined> {
  const own = enclave.identity.read;
  if (own.ccParamsHash.equals(message.ccParamsHash)) return undefined;
  const sender = await enclave.ledger.credentials(enclaveIdOf(message.senderEnclaveVk).text);
  const mayTake = sender !== undefined && mayInherit(await policyInForce.read(), sender.ccParams, own.ccParams);
  if (!mayTake || !sender.ccParamsHash.equals(message.ccParamsHash))
    throw new EnclaveError(
      "WRONG_CONTEXT",
      "the export comes from an enclave of other parameters than this chaincode's",
    );
  return sender.ccParamsHash;
}
