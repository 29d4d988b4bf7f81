import type { KeyObject } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { kernelRandomBytes } from "../../crypto/kernel-random.ts";
import { EnclaveError } from "../errors.ts";
import { packAny, unpackAny } from "../messages/any.ts";
import {
  type ExportMessage,
  ExportMessageSchema,
  type SignedExportMessage,
  SignedExportMessageSchema,
} from "../messages/generated/fpc/key_dist_pb.ts";
import type { ReadCredentials } from "./attested-data.ts";
import { ChaincodeGeneration } from "./chaincode-keys.ts";
import { enclaveIdOf } from "./enclave-id.ts";
import { checkGeneration, checkHash, checkSignature } from "./fields.ts";
import { decryptWith, encryptTo, type HybridContext } from "./hybrid-encryption.ts";
import { readEncryptionKey, readVerificationKey } from "./key-formats.ts";
import { signMessage, verifyMessage } from "./signing.ts";

export const exportNonceBytes = 16;

export interface ExportParts {
  readonly sender: { readonly sk: KeyObject; readonly vkPem: Uint8Array; readonly ccParamsHash: Uint8Array };
  /** Whose evidence the sender has judged, and whom the trusted ledger lets endorse. */
  readonly receiver: ReadCredentials;
  readonly generation: ChaincodeGeneration;
  /** 16 bytes; left out: random. */
  readonly nonce?: Uint8Array;
}

/** Encrypts a generation to the receiver's attested EK, and signs (steps 17 and 18 of the document). */
export function makeExport({ sender, receiver, generation, nonce }: ExportParts): SignedExportMessage {
  const message = create(ExportMessageSchema, {
    ccParamsHash: sender.ccParamsHash,
    chaincodeEk: generation.ekPem,
    receiverEnclaveVk: receiver.vkPem,
    senderEnclaveVk: sender.vkPem,
    generation: generation.number,
    exportNonce: nonce ?? kernelRandomBytes(exportNonceBytes),
    receiverCcParamsHash: receiver.ccParamsHash,
  });
  const ek = readEncryptionKey(receiver.ekPem, "AttestedData.enclave_ek");
  using text = generation.encode();
  message.cckeysEnc = encryptTo(ek, contextOf(message), text);
  const packed = packAny(ExportMessageSchema, message);
  return create(SignedExportMessageSchema, {
    serializedExportMsgBytes: packed,
    signature: signMessage("keyExport", packed.value, sender.sk),
  });
}

/** What it says, whoever signed it. @throws EnclaveError MALFORMED, naming the field */
export function readExport(signed: SignedExportMessage): ExportMessage {
  checkSignature(signed.signature, "SignedExportMessage.signature");
  const message = unpackAny(
    ExportMessageSchema,
    signed.serializedExportMsgBytes,
    "SignedExportMessage.serialized_export_msg_bytes",
    ExportMessageSchema.fields.map((field) => field.name),
  );
  checkHash(message.ccParamsHash, "ExportMessage.cc_params_hash");
  checkHash(message.receiverCcParamsHash, "ExportMessage.receiver_cc_params_hash");
  readEncryptionKey(message.chaincodeEk, "ExportMessage.chaincode_ek");
  readVerificationKey(message.receiverEnclaveVk, "ExportMessage.receiver_enclave_vk");
  readVerificationKey(message.senderEnclaveVk, "ExportMessage.sender_enclave_vk");
  checkGeneration(message.generation, "ExportMessage.generation");
  if (message.exportNonce.length !== exportNonceBytes)
    throw new EnclaveError("MALFORMED", `ExportMessage.export_nonce is not of ${exportNonceBytes} bytes`);
  return message;
}

/**
 * Verifies the signature under the sender's VK as the message has it; that this VK is a registered enclave's is for the
 * caller to see.
 *
 * @throws EnclaveError MALFORMED, BAD_SIGNATURE
 */
export function verifyExport(signed: SignedExportMessage): ExportMessage {
  const message = readExport(signed);
  const vk = readVerificationKey(message.senderEnclaveVk, "ExportMessage.sender_enclave_vk");
  verifyMessage("keyExport", signed.serializedExportMsgBytes?.value ?? new Uint8Array(), signed.signature, vk);
  return message;
}

export interface ExportReceiver {
  /** Enclave_DK. */
  readonly dk: KeyObject;
  /** Of the receiver's own parameters. */
  readonly ccParamsHash: Uint8Array;
  readonly vkPem: Uint8Array;
  /** Of a sender of another version or sequence, which only a policy's successor may take keys of; left out: none. */
  readonly predecessorCcParamsHash?: Uint8Array;
}

/**
 * The receiver's part (steps 23, 25 and 26 of the document, and the sender's signature, decision 0603). That the message is
 * the one of the ledger (step 24) is the caller's to check, before.
 *
 * @throws EnclaveError MALFORMED; WRONG_CONTEXT: for another enclave or chaincode; BAD_SIGNATURE; BAD_CIPHERTEXT;
 *   EK_MISMATCH: the DK within is not that of the EK that the message names
 */
export function openExport(signed: SignedExportMessage, receiver: ExportReceiver): ChaincodeGeneration {
  const message = readExport(signed);
  const own = Buffer.from(receiver.ccParamsHash);
  const senders = [own, Buffer.from(receiver.predecessorCcParamsHash ?? own)];
  if (!own.equals(message.receiverCcParamsHash))
    throw new EnclaveError("WRONG_CONTEXT", "the export is for other parameters than this chaincode's");
  if (!senders.some((hash) => hash.equals(message.ccParamsHash)))
    throw new EnclaveError(
      "WRONG_CONTEXT",
      "the export comes from an enclave of other parameters than this chaincode's",
    );
  if (!Buffer.from(receiver.vkPem).equals(message.receiverEnclaveVk))
    throw new EnclaveError("WRONG_CONTEXT", "the export is for another enclave");
  verifyExport(signed);
  using text = decryptWith(receiver.dk, contextOf(message), message.cckeysEnc);
  let generation: ChaincodeGeneration;
  try {
    generation = ChaincodeGeneration.fromBytes(text);
  } catch {
    throw new EnclaveError("BAD_CIPHERTEXT", "what the export holds is no generation of chaincode keys");
  }
  const isNumbered = generation.number === message.generation;
  if (isNumbered && generation.ekPem.equals(message.chaincodeEk)) return generation;
  generation[Symbol.dispose]();
  if (!isNumbered) throw new EnclaveError("WRONG_CONTEXT", "the export holds another generation than it says");
  throw new EnclaveError("EK_MISMATCH", "the export's private key is not that of the chaincode key that it names");
}

/** Everything that a wrong ciphertext could be taken from or put into. */
function contextOf(message: ExportMessage): HybridContext {
  return {
    purpose: "export",
    ccParamsHash: message.ccParamsHash,
    receiverCcParamsHash: message.receiverCcParamsHash,
    chaincodeEk: message.chaincodeEk,
    sender: enclaveIdOf(message.senderEnclaveVk).bytes,
    receiver: enclaveIdOf(message.receiverEnclaveVk).bytes,
    generation: message.generation,
    nonce: message.exportNonce,
  };
}
