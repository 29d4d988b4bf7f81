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
import { commitHashOf, holdAnswer } from "../protocol/held-answer.ts";
import { readDecryptionKey } from "../protocol/key-formats.ts";
import { concealResponse, revealRequest } from "../protocol/request-encryption.ts";
import { decryptState, encryptState, generationOfState } from "../protocol/state-encryption.ts";
import type { ChaincodeAnswer, ChaincodeCall, ConfidentialChaincode } from "./confidential-chaincode.ts";
import { EncryptedState, type StateCipher } from "./encrypted-state.ts";
import type { StateSource } from "./ledger-values.ts";
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
  /** A stored value by its key; the host's word, which is held against the ledger's. */
  readonly stored: (key: string) => Promise<Uint8Array | undefined>;
  readonly ledger: CalledLedger;
  /** As {@link StateSource} has it. */
  readonly patience?: Pick<StateSource, "attempts" | "waitMs">;
}

/** What a call asks of the trusted ledger. */
export interface CalledLedger {
  /** Whether msp.SerializedIdentity is one of a member of the channel. */
  isMember(serializedIdentity: Uint8Array): Promise<boolean>;
  /**
   * SHA-256 of what the chaincode's state has under each key, all at one time; undefined where there is none.
   *
   * @param minimumBlock - As TrustedLedger.stateHashes has it.
   */
  stateHashes(keys: readonly string[], minimumBlock: bigint): Promise<readonly (Uint8Array | undefined)[]>;
}

/**
 * Runs a member's request: decrypts it with Chaincode_DK, runs the chaincode over what the ledger holds, encrypts what it writes
 * under SEK and its answer under the client's key, and signs all of it together with the proposal and the hashes of what was
 * read. A refusal by the chaincode is an answer as well, without writes. The answer to a call that writes is held back until the
 * ledger has applied the writes (decision 0623); any other rests on what the ledger held at one time, and can be read at once.
 *
 * @returns The SignedChaincodeResponseMessage
 * @throws EnclaveError WRONG_CONTEXT: the proposal is for another channel, chaincode or transaction; UNAUTHORIZED: its creator is
 *   no member of the channel, or the request is another client's; NOT_PROVISIONED; MALFORMED; BAD_SIGNATURE; BAD_CIPHERTEXT; REPLAY: the host has other values than the
 *   ledger; CONFLICT: a value changed while the chaincode ran; what the trusted ledger throws
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
  if (!(await enclave.ledger.isMember(asked.creator)))
    throw new EnclaveError("UNAUTHORIZED", `the caller's certificate is not one of a member of ${asked.caller.mspId}`, {
      hint: "call with a certificate of an organisation of the channel that is valid now",
    });
  const active = enclave.generations.find(({ number }) => number === enclave.activeGeneration);
  if (active === undefined)
    throw new EnclaveError("NOT_PROVISIONED", `this enclave does not hold generation ${enclave.activeGeneration}`);

  const requestBytes = decodeBase64(argument, ChaincodeRequestMessageSchema.name);
  using request = revealRequest(requestBytes, readDecryptionKey(active.dkPem));
  request.requireProposedBy(asked.creator);
  const [name, ...args] = request.input.args.map((arg) => toText(arg));
  const { stored, ledger, patience } = enclave;
  using state = new EncryptedState(stateCipher(enclave, active, asked.txId), {
    stored,
    hashes: (keys) => ledger.stateHashes(keys, request.minimumBlock),
    ...patience,
  });
  const answer = await run(enclave.chaincode, { transaction: name ?? "", args, caller: asked.caller, state });
  await state.requireAllRead();
  const fpcRwSet = state.readWriteSet(answer.status === 200);
  const isHeld = answer.status === 200 && state.hasWrites;
  if (!isHeld) await state.requireOneTime();
  const encryptedResponse = concealResponse(request.responseKey, toResponse(answer));
  const commitHash = commitHashOf(proposal.proposalBytes, fpcRwSet);
  const message = create(ChaincodeResponseMessageSchema, {
    encryptedResponse: isHeld ? holdAnswer(active, commitHash, encryptedResponse) : encryptedResponse,
    fpcRwSet,
    proposal,
    chaincodeRequestMessageHash: request.requestHash,
    enclaveId: enclave.enclaveId,
    heldGeneration: isHeld ? active.number : 0n,
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
