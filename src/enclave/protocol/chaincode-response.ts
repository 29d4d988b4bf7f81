import { type KeyObject, sign, verify } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import {
  type ChaincodeResponseMessage,
  ChaincodeResponseMessageSchema,
  type SignedChaincodeResponseMessage,
  SignedChaincodeResponseMessageSchema,
} from "../messages/generated/fpc/fpc_pb.ts";
import { decodeStrict, encode } from "../messages/strict.ts";
import { enclaveIdOf, parseEnclaveId } from "./enclave-id.ts";
import { checkHash, checkSignature } from "./fields.ts";
import { readVerificationKey } from "./key-formats.ts";

/**
 * An enclave's answer, signed as upstream signs it, by which `__endorse` of any peer verifies it: ECDSA with SHA-256, DER, over the
 * message with nothing before it. No message of a domain of ours begins like a ChaincodeResponseMessage, so neither verifies as the other.
 */
export function signResponse(message: ChaincodeResponseMessage, sk: KeyObject): SignedChaincodeResponseMessage {
  const chaincodeResponseMessage = encode(ChaincodeResponseMessageSchema, message);
  return create(SignedChaincodeResponseMessageSchema, {
    chaincodeResponseMessage,
    signature: sign("sha256", chaincodeResponseMessage, { key: sk, dsaEncoding: "der" }),
  });
}

/** What it says, whoever signed it. @throws EnclaveError MALFORMED, naming the field */
export function readResponse(signed: SignedChaincodeResponseMessage): ChaincodeResponseMessage {
  checkSignature(signed.signature, "SignedChaincodeResponseMessage.signature");
  const message = decodeStrict(ChaincodeResponseMessageSchema, signed.chaincodeResponseMessage, [
    "encrypted_response",
    "proposal",
    "chaincode_request_message_hash",
    "enclave_id",
  ]);
  checkHash(message.chaincodeRequestMessageHash, "ChaincodeResponseMessage.chaincode_request_message_hash");
  parseEnclaveId(message.enclaveId);
  return message;
}

/**
 * @param vkPem - Of the enclave's credentials.
 * @param requestHash - Of the request that this has to answer.
 * @throws EnclaveError MALFORMED; WRONG_CONTEXT: of another enclave; BAD_SIGNATURE; REPLAY: it answers another request
 */
export function verifyResponse(
  signed: SignedChaincodeResponseMessage,
  vkPem: Uint8Array,
  requestHash: Uint8Array,
): ChaincodeResponseMessage {
  const message = readResponse(signed);
  const key = readVerificationKey(vkPem, "AttestedData.enclave_vk");
  if (enclaveIdOf(vkPem).text !== message.enclaveId)
    throw new EnclaveError("WRONG_CONTEXT", "the response is of another enclave");
  if (!verify("sha256", signed.chaincodeResponseMessage, { key, dsaEncoding: "der" }, signed.signature))
    throw new EnclaveError("BAD_SIGNATURE", "the signature over the response does not verify");
  if (!Buffer.from(requestHash).equals(message.chaincodeRequestMessageHash))
    throw new EnclaveError("REPLAY", "the response answers another request");
  return message;
}
