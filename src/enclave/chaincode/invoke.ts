import type { KeyObject } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import { decodeBase64 } from "../messages/argument.ts";
import { ResponseSchema, type SignedProposal } from "../messages/generated/fabric/peer_pb.ts";
import {
  ChaincodeRequestMessageSchema,
  ChaincodeResponseMessageSchema,
  SignedChaincodeResponseMessageSchema,
} from "../messages/generated/fpc/fpc_pb.ts";
import { encode } from "../messages/strict.ts";
import type { ChaincodeGeneration } from "../protocol/chaincode-keys.ts";
import { signResponse } from "../protocol/chaincode-response.ts";
import { readDecryptionKey } from "../protocol/key-formats.ts";
import { concealResponse, revealRequest } from "../protocol/request-encryption.ts";
import { decryptState, encryptState, generationOfState } from "../protocol/state-encryption.ts";
import type { ChaincodeAnswer, ChaincodeCall, ConfidentialChaincode } from "./confidential-chaincode.ts";
import { EncryptedState, type StateCipher } from "./encrypted-state.ts";
import { readSignedProposal } from "./signed-proposal.ts";

/** Name of the transaction that a client proposes; its one argument is the base64 of the ChaincodeRequestMessage. */
export const invokeTransaction = "__invoke";

/** What the enclave is, and what it holds. */
export interface InvokedEnclave {
  readonly channelId: string;
  readonly chaincodeId: string;
  /** Upper-case hexadecimal. */
  readonly enclaveId: string;
  readonly sk: KeyObject;
  /** All that it holds; they stay the caller's. */
  readonly generations: readonly ChaincodeGeneration[];
  /** The number of the one that the ledger says is in force, under which is written. */
  readonly activeGeneration: bigint;
  readonly chaincode: ConfidentialChaincode;
  /** A stored value by its key; the host's word, which the answer's hashes let peers check. */
  readonly stored: (key: string) => Promise<Uint8Array | undefined>;
}

/**
 * Runs a client's request: decrypts it with Chaincode_DK, runs the chaincode over the decrypted state, encrypts what it writes
 * under SEK and its answer under the client's key, and signs all of it together with the proposal and the hashes of what was
 * read. A refusal by the chaincode is an answer as well, without writes.
 *
 * @returns The SignedChaincodeResponseMessage
 * @throws EnclaveError WRONG_CONTEXT: the proposal is for another channel, chaincode or transaction; NOT_PROVISIONED;
 *   MALFORMED; BAD_SIGNATURE; BAD_CIPHERTEXT
 */
export async function invokeInEnclave(enclave: InvokedEnclave, proposal: SignedProposal): Promise<Buffer> {
  const asked = readSignedProposal(proposal);
  const [transaction, argument, ...more] = asked.args.map((arg) => Buffer.from(arg).toString("utf8"));
  if (asked.channelId !== enclave.channelId || asked.chaincode !== enclave.chaincodeId)
    throw new EnclaveError(
      "WRONG_CONTEXT",
      `the proposal is for chaincode ${asked.chaincode} of channel ${asked.channelId}, not ${enclave.chaincodeId} of ${enclave.channelId}`,
    );
  if (transaction !== invokeTransaction || argument === undefined || more.length > 0)
    throw new EnclaveError("WRONG_CONTEXT", `the proposal is not of ${invokeTransaction} with one argument`);
  const active = enclave.generations.find(({ number }) => number === enclave.activeGeneration);
  if (active === undefined)
    throw new EnclaveError("NOT_PROVISIONED", `this enclave does not hold generation ${enclave.activeGeneration}`);

  const requestBytes = decodeBase64(argument, ChaincodeRequestMessageSchema.name);
  using request = revealRequest(requestBytes, readDecryptionKey(active.dkPem));
  const [name, ...args] = request.input.args.map((arg) => toText(arg));
  using state = new EncryptedState(stateCipher(enclave, active, asked.txId), enclave.stored);
  const answer = await run(enclave.chaincode, { transaction: name ?? "", args, caller: asked.caller, state });
  const message = create(ChaincodeResponseMessageSchema, {
    encryptedResponse: concealResponse(request.responseKey, toResponse(answer)),
    fpcRwSet: state.readWriteSet(answer.status === 200),
    proposal,
    chaincodeRequestMessageHash: request.requestHash,
    enclaveId: enclave.enclaveId,
  });
  return encode(SignedChaincodeResponseMessageSchema, signResponse(message, enclave.sk));
}

/** A slip of the chaincode's refuses the call and does not end the enclave; its text may quote what is secret, so it is not told. */
async function run(chaincode: ConfidentialChaincode, call: ChaincodeCall): Promise<ChaincodeAnswer> {
  try {
    return await chaincode.invoke(call);
  } catch (error) {
    if (error instanceof EnclaveError) throw error;
    return { status: 500, message: "CHAINCODE_FAILED", payload: Buffer.alloc(0) };
  }
}

function stateCipher(enclave: InvokedEnclave, active: ChaincodeGeneration, txId: string): StateCipher {
  const nameOf = (key: string) => ({ chaincodeId: enclave.chaincodeId, key });
  return {
    encrypt: (key, value) => encryptState(active, nameOf(key), value, txId),
    decrypt(key, stored) {
      const number = generationOfState(stored);
      const generation = enclave.generations.find((one) => one.number === number);
      if (generation === undefined)
        throw new EnclaveError(
          "NOT_PROVISIONED",
          `this enclave does not hold generation ${number}, under which a value lies`,
        );
      return decryptState(generation, nameOf(key), stored);
    },
  };
}

function toResponse({ status, message, payload }: ChaincodeAnswer) {
  return create(ResponseSchema, { status, message, payload });
}

function toText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new EnclaveError("MALFORMED", "ChaincodeInput.args is not text in UTF-8");
  }
}
