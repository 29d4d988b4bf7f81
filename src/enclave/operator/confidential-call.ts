import { create } from "@bufbuild/protobuf";
import { invokeTransaction } from "../chaincode/invoke.ts";
import { storedTransaction } from "../ecc/embedded-chaincode.ts";
import { endorseTransaction } from "../ecc/endorse.ts";
import { EnclaveError } from "../errors.ts";
import type { LedgerIdentity } from "../ledger/ledger.ts";
import { serializeIdentity } from "../ledger/membership.ts";
import { makeProposal } from "../ledger/proposal.ts";
import { SignedProposalSchema } from "../messages/generated/fabric/peer_pb.ts";
import {
  ChaincodeRequestMessageSchema,
  SignedChaincodeResponseMessageSchema,
} from "../messages/generated/fpc/fpc_pb.ts";
import { decodeStrict, encode } from "../messages/strict.ts";
import { stateQuestion } from "../process/confidential-invocation.ts";
import { readResponse, verifyResponse } from "../protocol/chaincode-response.ts";
import { concealRequest, requestHashOf, revealResponse } from "../protocol/request-encryption.ts";
import type { EnclaveAgent } from "../stub/agent.ts";
import type { RegistryClient } from "./registry-client.ts";

export interface ConfidentialAnswer {
  /** As protos.Response: 200 for done. */
  readonly status: number;
  readonly message: string;
  readonly payload: Buffer;
  /** Of the transaction that took the writes over; undefined where the chaincode refused. */
  readonly txId: string | undefined;
}

/**
 * Calls confidential chaincode: encrypts the arguments to the chaincode's key, has each enclave run them, verifies their answers
 * against their credentials, opens the first, and submits what they wrote.
 *
 * @param identity - That of the connection: peers take answers over from the client alone who made the request
 * @param words - The transaction's name, then its arguments
 * @param stubs - Of enclaves whose organisations together meet the chaincode's endorsement policy
 * @throws EnclaveError NOT_FOUND: the chaincode has no keys; what the enclaves or peers refuse with; CONFLICT: another call came
 *   first, or the enclaves' peers differ: call again
 */
export async function callConfidentially(
  client: RegistryClient,
  identity: LedgerIdentity,
  stubs: readonly EnclaveAgent[],
  words: readonly string[],
): Promise<ConfidentialAnswer> {
  const ek = await client.chaincodeEncryptionKey();
  if (ek === undefined) throw new EnclaveError("NOT_FOUND", `${client.chaincodeId} has no keys on the channel`);
  const { message, responseKey } = concealRequest(
    ek,
    words.map((word) => Buffer.from(word)),
  );
  using key = responseKey;
  const request = encode(ChaincodeRequestMessageSchema, message);
  const proposal = await signedProposal(client, identity, request.toString("base64"));
  const answers: Buffer[] = [];
  for (const stub of stubs)
    answers.push(await stub.invoke(proposal, (name, parts) => answerChaincode(client, name, parts)));
  const [first] = await Promise.all(answers.map((answer) => verified(client, answer, request)));
  if (first === undefined) throw new EnclaveError("SETTINGS_INVALID", "a call takes at least one enclave");
  const { status, message: text, payload } = revealResponse(key, first.encryptedResponse);
  const committed =
    status === 200
      ? await client.connection.submit(client.chaincodeId, endorseTransaction, answers.map(toBase64))
      : undefined;
  return { status, message: text, payload: Buffer.from(payload), txId: committed?.txId };
}

/** An enclave's answer, by its credentials on the ledger. @param answer - SignedChaincodeResponseMessage */
async function verified(client: RegistryClient, answer: Buffer, request: Buffer) {
  const signed = decodeStrict(SignedChaincodeResponseMessageSchema, answer);
  const { vkPem } = await client.requireEnclave(readResponse(signed).enclaveId);
  return verifyResponse(signed, vkPem, requestHashOf(request));
}

/** What the chaincode asks the enclave's host for while it runs. */
async function answerChaincode(
  client: RegistryClient,
  name: string,
  [key]: readonly Buffer[],
): Promise<readonly Uint8Array[]> {
  if (name !== stateQuestion || key === undefined)
    throw new EnclaveError("MALFORMED", "the chaincode asks its host for something unknown");
  const text = await client.connection.evaluate(client.chaincodeId, storedTransaction, [key.toString("utf8")]);
  return text.length === 0 ? [] : [Buffer.from(text.toString("latin1"), "base64")];
}

async function signedProposal(client: RegistryClient, identity: LedgerIdentity, request: string): Promise<Buffer> {
  const { proposal } = makeProposal({
    channelId: client.connection.channelId,
    chaincode: client.chaincodeId,
    transaction: invokeTransaction,
    args: [request],
    creator: serializeIdentity(identity),
  });
  const signature = await identity.sign(proposal);
  return encode(SignedProposalSchema, create(SignedProposalSchema, { proposalBytes: proposal, signature }));
}

function toBase64(bytes: Buffer): string {
  return bytes.toString("base64");
}
