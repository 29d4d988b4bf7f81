import { create } from "@bufbuild/protobuf";
import { invokeTransaction } from "../chaincode/invoke.ts";
import { endorseTransaction } from "../ecc/endorse.ts";
import { storedTransaction } from "../ecc/state-queries.ts";
import { EnclaveError } from "../errors.ts";
import type { LedgerIdentity } from "../ledger/ledger.ts";
import { serializeIdentity } from "../ledger/membership.ts";
import { makeProposal } from "../ledger/proposal.ts";
import { SignedProposalSchema } from "../messages/generated/fabric/peer_pb.ts";
import {
  ChaincodeRequestMessageSchema,
  type ChaincodeResponseMessage,
  SignedChaincodeResponseMessageSchema,
} from "../messages/generated/fpc/fpc_pb.ts";
import { decodeStrict, encode } from "../messages/strict.ts";
import { stateQuestion } from "../process/confidential-invocation.ts";
import type { ReadCredentials } from "../protocol/attested-data.ts";
import { readResponse, verifyResponse } from "../protocol/chaincode-response.ts";
import { concealRequest, requestHashOf, revealResponse } from "../protocol/request-encryption.ts";
import type { EnclaveAgent } from "../stub/agent.ts";
import { commitOf, type ReleasePatience, released, sameAnswer } from "./held-answers.ts";
import type { RegistryClient } from "./registry-client.ts";
import type { RegistryView } from "./registry-view.ts";

export interface ConfidentialAnswer {
  /** As protos.Response: 200 for done. */
  readonly status: number;
  readonly message: string;
  readonly payload: Buffer;
  /** Of the transaction that took the writes over; undefined where nothing was written. */
  readonly txId: string | undefined;
  /** Its block; to be demanded of a later call that has to see it. */
  readonly blockNumber: bigint | undefined;
}

export interface ConfidentialCallOptions extends ReleasePatience {
  /**
   * A block that what a ledger enclave says for this call has to rest on at least, such as that of an earlier call.
   *
   * @defaultValue `0n`
   */
  readonly minimumBlock?: bigint;
  /**
   * Whose word is taken for the chaincode's key and for enclaves' credentials.
   *
   * @defaultValue the own organisation's peer's, by `client`
   */
  readonly view?: RegistryView;
}

/** Of an enclave's agent, what a call needs. */
export type AnsweringAgent = Pick<EnclaveAgent, "invoke" | "release"> & AsyncDisposable;

/** One enclave's answer, by its credentials on the ledger. */
export interface Answered {
  readonly agent: AnsweringAgent;
  readonly enclave: ReadCredentials;
  readonly message: ChaincodeResponseMessage;
  /** SignedChaincodeResponseMessage, as peers take it. */
  readonly bytes: Buffer;
}

/** Has an enclave answer the call, and verifies the answer. @throws EnclaveError what the enclave refuses with; BAD_SIGNATURE and so on */
export type AskEnclave = (agent: AnsweringAgent) => Promise<Answered>;

/** Chooses whom a call is answered by. */
export interface Answerers {
  /** @returns Answers of enclaves that together meet the chaincode's endorsement policy */
  answer(ask: AskEnclave): Promise<readonly Answered[]>;
}

/**
 * Calls confidential chaincode: encrypts the arguments to the chaincode's key, has each enclave run them, and verifies their answers
 * against their credentials. Where they wrote, peers take over what all wrote alike, and only then an enclave releases the answers;
 * else they are open at once, and nothing is submitted. All enclaves have to have answered the same.
 *
 * @param identity - That of the connection: peers take answers over from the client alone who made the request
 * @param words - The transaction's name, then its arguments
 * @param stubs - Of enclaves whose organisations together meet the chaincode's endorsement policy, or what chooses them
 * @throws EnclaveError NOT_FOUND: the chaincode has no keys; what the enclaves or peers refuse with; CONFLICT: another call came
 *   first, or the enclaves answer differently: call again
 */
export async function callConfidentially(
  client: RegistryClient,
  identity: LedgerIdentity,
  stubs: readonly AnsweringAgent[] | Answerers,
  words: readonly string[],
  options: ConfidentialCallOptions = {},
): Promise<ConfidentialAnswer> {
  const { view = client } = options;
  const ek = await view.chaincodeEncryptionKey();
  if (ek === undefined) throw new EnclaveError("NOT_FOUND", `${client.chaincodeId} has no keys on the channel`);
  const args = words.map((word) => Buffer.from(word));
  const creator = serializeIdentity(identity);
  const { message, responseKey } = concealRequest(ek, args, { creator, minimumBlock: options.minimumBlock ?? 0n });
  using key = responseKey;
  const request = encode(ChaincodeRequestMessageSchema, message);
  const proposal = await signedProposal(client, identity, creator, request.toString("base64"));
  const ask: AskEnclave = async (agent) => {
    const bytes = await agent.invoke(proposal.signed, (name, parts) => answerChaincode(client, name, parts));
    return { agent, bytes, ...(await verified(view, bytes, request, proposal.bytes)) };
  };
  const answers = await ("answer" in stubs ? stubs.answer(ask) : fromEach(stubs, ask));
  const messages = answers.map((one) => one.message);
  const held = commitOf(messages, proposal.bytes);
  const committed =
    held &&
    (await client.connection.submit(
      client.chaincodeId,
      endorseTransaction,
      answers.map(({ bytes }) => bytes.toString("base64")),
    ));
  const agents = answers.map(({ agent }) => agent);
  const concealed =
    held === undefined || committed === undefined
      ? messages.map(({ encryptedResponse }) => encryptedResponse)
      : await released(agents, messages, { ...held, txId: proposal.txId, block: committed.blockNumber }, options);
  const { status, message: text, payload } = sameAnswer(concealed.map((bytes) => revealResponse(key, bytes)));
  return {
    status,
    message: text,
    payload: Buffer.from(payload),
    txId: committed?.txId,
    blockNumber: committed?.blockNumber,
  };
}

/** All at once, and all of them over when this ends: none is still asking its host when the first refuses. */
async function fromEach(agents: readonly AnsweringAgent[], ask: AskEnclave): Promise<Answered[]> {
  const asked = await Promise.allSettled(agents.map(ask));
  return asked.map((one) => {
    if (one.status === "rejected") throw one.reason;
    return one.value;
  });
}

/** An enclave's answer to this proposal, by its credentials on the ledger. @param answer - SignedChaincodeResponseMessage */
async function verified(
  view: RegistryView,
  answer: Buffer,
  request: Buffer,
  proposal: Buffer,
): Promise<Pick<Answered, "enclave" | "message">> {
  const signed = decodeStrict(SignedChaincodeResponseMessageSchema, answer);
  const enclave = await view.requireEnclave(readResponse(signed).enclaveId);
  const message = verifyResponse(signed, enclave.vkPem, requestHashOf(request));
  // Whoever proposed the same request would have had it run as his own.
  if (!proposal.equals(message.proposal?.proposalBytes ?? new Uint8Array()))
    throw new EnclaveError("REPLAY", "the response answers another proposal");
  return { enclave, message };
}

/** What the chaincode asks the enclave's host for while it runs. */
export async function answerChaincode(
  client: RegistryClient,
  name: string,
  [key]: readonly Buffer[],
): Promise<readonly Uint8Array[]> {
  if (name !== stateQuestion || key === undefined)
    throw new EnclaveError("MALFORMED", "the chaincode asks its host for something unknown");
  const text = await client.connection.evaluate(client.chaincodeId, storedTransaction, [key.toString("utf8")]);
  return text.length === 0 ? [] : [Buffer.from(text.toString("latin1"), "base64")];
}

async function signedProposal(client: RegistryClient, identity: LedgerIdentity, creator: Buffer, request: string) {
  const { proposal: bytes, txId } = makeProposal({
    channelId: client.connection.channelId,
    chaincode: client.chaincodeId,
    transaction: invokeTransaction,
    args: [request],
    creator,
  });
  const signature = await identity.sign(bytes);
  const signed = encode(SignedProposalSchema, create(SignedProposalSchema, { proposalBytes: bytes, signature }));
  return { bytes, txId, signed };
}
