import type { KeyObject } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import { packAny, unpackAny } from "../messages/any.ts";
import {
  type CCKeyRegistrationMessage,
  CCKeyRegistrationMessageSchema,
  type SignedCCKeyRegistrationMessage,
  SignedCCKeyRegistrationMessageSchema,
} from "../messages/generated/fpc/key_dist_pb.ts";
import { enclaveIdOf, readEnclaveId } from "./enclave-id.ts";
import { checkGeneration, checkHash, checkSignature } from "./fields.ts";
import { readEncryptionKey, readVerificationKey } from "./key-formats.ts";
import { signMessage, verifyMessage } from "./signing.ts";

/** What an enclave says when it holds a generation of the chaincode's keys (steps 8, 9 and 27 of the document). */
export interface Registration {
  readonly ccParamsHash: Uint8Array;
  /** PEM. */
  readonly chaincodeEk: Uint8Array;
  /** 32 bytes. */
  readonly enclaveId: Uint8Array;
  readonly generation: bigint;
  /** 32 bytes. */
  readonly stateKeyCommitment: Uint8Array;
}

/** @param sk - Enclave_SK. */
export function signRegistration(registration: Registration, sk: KeyObject): SignedCCKeyRegistrationMessage {
  const { ccParamsHash, chaincodeEk, enclaveId, generation, stateKeyCommitment } = registration;
  const fields = { ccParamsHash, chaincodeEk, enclaveId, generation, stateKeyCommitment };
  const message = create(CCKeyRegistrationMessageSchema, fields);
  const packed = packAny(CCKeyRegistrationMessageSchema, message);
  return create(SignedCCKeyRegistrationMessageSchema, {
    serializedCckeyRegMsg: packed,
    signature: signMessage("keyRegistration", packed.value, sk),
  });
}

/** What it says, whoever signed it. @throws EnclaveError MALFORMED, naming the field */
export function readRegistration(signed: SignedCCKeyRegistrationMessage): CCKeyRegistrationMessage {
  checkSignature(signed.signature, "SignedCCKeyRegistrationMessage.signature");
  const message = unpackAny(
    CCKeyRegistrationMessageSchema,
    signed.serializedCckeyRegMsg,
    "SignedCCKeyRegistrationMessage.serialized_cckey_reg_msg",
    ["cc_params_hash", "chaincode_ek", "enclave_id", "generation"],
  );
  checkHash(message.ccParamsHash, "CCKeyRegistrationMessage.cc_params_hash");
  readEncryptionKey(message.chaincodeEk, "CCKeyRegistrationMessage.chaincode_ek");
  readEnclaveId(message.enclaveId, "CCKeyRegistrationMessage.enclave_id");
  checkGeneration(message.generation, "CCKeyRegistrationMessage.generation");
  if (message.stateKeyCommitment.length > 0)
    checkHash(message.stateKeyCommitment, "CCKeyRegistrationMessage.state_key_commitment");
  return message;
}

/**
 * @param vkPem - Of the enclave's credentials.
 * @throws EnclaveError MALFORMED; WRONG_CONTEXT: it speaks of another enclave; BAD_SIGNATURE
 */
export function verifyRegistration(
  signed: SignedCCKeyRegistrationMessage,
  vkPem: Uint8Array,
): CCKeyRegistrationMessage {
  const message = readRegistration(signed);
  const vk = readVerificationKey(vkPem, "AttestedData.enclave_vk");
  if (!enclaveIdOf(vkPem).bytes.equals(message.enclaveId))
    throw new EnclaveError("WRONG_CONTEXT", "the registration is of another enclave");
  verifyMessage("keyRegistration", signed.serializedCckeyRegMsg?.value ?? new Uint8Array(), signed.signature, vk);
  return message;
}
