import { invokeTransaction } from "../chaincode/invoke.ts";
import { EnclaveError } from "../errors.ts";
import { readMessage } from "../ledger/fabric-message.ts";
import type { LedgerConnection, LedgerIdentity } from "../ledger/ledger.ts";
import { serializeIdentity } from "../ledger/membership.ts";
import { makeProposal } from "../ledger/proposal.ts";
import { decodeBase64 } from "../messages/argument.ts";
import { ProposalResponseSchema, SignedProposalSchema } from "../messages/generated/fabric/peer_pb.ts";
import { type Release, writeRelease } from "../process/release.ts";
import type { AnsweringAgent } from "./confidential-call.ts";

/**
 * What any client of the channel may ask of an enclave that runs beside another organisation's peer, or the own one's: its answer to a
 * call, and what opens it. The own organisation's gateway passes the proposals on, and orders none of them.
 */
export class PeerAnswers implements AnsweringAgent {
  readonly #connection: LedgerConnection;
  readonly #identity: LedgerIdentity;
  readonly #chaincode: string;
  readonly #mspId: string;

  /**
   * @param identity - That of the connection.
   * @param mspId - The organisation whose peer is asked.
   */
  constructor(connection: LedgerConnection, identity: LedgerIdentity, chaincode: string, mspId: string) {
    this.#connection = connection;
    this.#identity = identity;
    this.#chaincode = chaincode;
    this.#mspId = mspId;
  }

  invoke(signedProposal: Uint8Array): Promise<Buffer> {
    return invokeAtPeer(this.#connection, this.#mspId, signedProposal);
  }

  async release(release: Release): Promise<Buffer> {
    const transaction = "__release";
    const { proposal } = makeProposal({
      channelId: this.#connection.channelId,
      chaincode: this.#chaincode,
      transaction,
      args: writeRelease(release).map((part) => Buffer.from(part).toString("base64")),
      creator: serializeIdentity(this.#identity),
    });
    const [key] = readParts(await payloadOf(this.#connection, this.#mspId, proposal), transaction);
    if (key === undefined) throw new EnclaveError("MALFORMED", `${transaction} answered nothing`);
    return key;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing of it is here.
  }
}

/**
 * The proposal goes to the peer as it is; what the chaincode asks its host, the agent beside the peer answers.
 *
 * @param signedProposal - protos.SignedProposal of the connection's identity
 * @returns SignedChaincodeResponseMessage
 * @throws EnclaveError what the enclave or its agent refuse with; NOT_FOUND: the peer has no enclave; LEDGER_UNAVAILABLE
 */
export async function invokeAtPeer(
  connection: LedgerConnection,
  mspId: string,
  signedProposal: Uint8Array,
): Promise<Buffer> {
  const { proposalBytes } = readMessage(SignedProposalSchema, signedProposal);
  const payload = await payloadOf(connection, mspId, proposalBytes);
  return decodeBase64(payload.toString("latin1"), `the answer to ${invokeTransaction}`);
}

/** As `callAgent` writes them. @param bytes - JSON: a list of texts in base64. @throws EnclaveError MALFORMED */
export function readParts(bytes: Buffer, transaction: string): readonly Buffer[] {
  let list: unknown;
  try {
    list = JSON.parse(bytes.toString("utf8"));
  } catch {
    // Said below.
  }
  if (!Array.isArray(list) || !list.every((one) => typeof one === "string"))
    throw new EnclaveError("MALFORMED", `${transaction} answered something that is not a list of texts`);
  return list.map((one) => decodeBase64(one, `the answer to ${transaction}`));
}

async function payloadOf(connection: LedgerConnection, mspId: string, proposal: Uint8Array): Promise<Buffer> {
  const [answer] = await connection.endorse(proposal, [mspId]);
  if (answer === undefined) throw new EnclaveError("LEDGER_UNAVAILABLE", `no peer of ${mspId} answered`);
  return Buffer.from(readMessage(ProposalResponseSchema, answer).response?.payload ?? []);
}
