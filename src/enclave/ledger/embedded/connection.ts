import { create } from "@bufbuild/protobuf";
import { EnclaveError, fromAbortText } from "../../errors.ts";
import { type Endorsement, SignedProposalSchema } from "../../messages/generated/fabric/peer_pb.ts";
import { blockMetadata, readBlock } from "../block.ts";
import { failureStatus, makeEnvelope, type ReadResponse, readResponse, readResponsePayload } from "../endorsement.ts";
import { writeMessage } from "../fabric-message.ts";
import type { CommittedTransaction, LedgerConnection, LedgerIdentity } from "../ledger.ts";
import { serializeIdentity } from "../membership.ts";
import { makeProposal } from "../proposal.ts";
import { invalidTransaction, validationCodes } from "../validation-codes.ts";
import type { Orderer } from "./orderer.ts";
import type { Peer } from "./peer.ts";

/** What a connection uses of the ledger. */
export interface ConnectionParts {
  readonly channelId: string;
  readonly mspIds: readonly string[];
  readonly orderer: Orderer;
  peersOf(mspId: string): readonly Peer[];
  /** Resolves at the next block, when `signal` aborts, and when the ledger closes. */
  nextBlock(signal: AbortSignal | undefined): Promise<void>;
  readonly isClosed: boolean;
}

/** One identity's view of an embedded ledger. */
export class EmbeddedConnection implements LedgerConnection {
  readonly channelId: string;
  readonly mspId: string;
  readonly #identity: LedgerIdentity;
  readonly #parts: ConnectionParts;
  readonly #creator: Buffer;
  readonly #closed = new AbortController();

  constructor(identity: LedgerIdentity, parts: ConnectionParts) {
    this.channelId = parts.channelId;
    this.mspId = identity.mspId;
    this.#identity = identity;
    this.#parts = parts;
    this.#creator = serializeIdentity(identity);
  }

  async evaluate(chaincode: string, transaction: string, args: readonly (string | Uint8Array)[]): Promise<Buffer> {
    this.#requireOpen();
    const { proposal } = this.#propose(chaincode, transaction, args);
    const answer = await this.#askOrganisation(this.mspId, await this.#signProposal(proposal));
    return Buffer.from(readResponsePayload(requireEndorsed(answer).responsePayload).payload);
  }

  submit(chaincode: string, transaction: string, args: readonly string[]): Promise<CommittedTransaction> {
    return this.invoke(chaincode, transaction, args);
  }

  /** As {@link submit}, with arguments that may be bytes. */
  async invoke(
    chaincode: string,
    transaction: string,
    args: readonly (string | Uint8Array)[],
  ): Promise<CommittedTransaction> {
    this.#requireOpen();
    const endorsers = this.#endorsersOf(chaincode);
    const { proposal, txId } = this.#propose(chaincode, transaction, args);
    const signed = await this.#signProposal(proposal);
    const answers = await Promise.all(endorsers.map((mspId) => this.#askOrganisation(mspId, signed)));
    const [first, ...others] = answers.map(requireEndorsed);
    if (first === undefined) throw new EnclaveError("LEDGER_UNAVAILABLE", "no peer endorses");
    const { responsePayload } = first;
    if (others.some((other) => !Buffer.from(responsePayload).equals(other.responsePayload)))
      throw new EnclaveError(
        "LEDGER_UNAVAILABLE",
        `the peers of ${endorsers.join(", ")} come to different results for ${chaincode}.${transaction}`,
        { hint: "a peer that is behind catches up; else one of them has another state or another chaincode" },
      );
    const endorsements = [first, ...others].map(({ endorsement }) => endorsement);
    const envelope = await makeEnvelope(proposal, responsePayload, endorsements, this.#identity.sign);
    return { ...(await this.order(envelope, txId)), result: Buffer.from(readResponsePayload(responsePayload).payload) };
  }

  /**
   * Has an envelope ordered that is complete, and waits for the own organisation's peer to commit it.
   *
   * @throws EnclaveError as of {@link LedgerConnection.submit}
   */
  async order(envelope: Uint8Array, txId: string): Promise<Pick<CommittedTransaction, "txId" | "blockNumber">> {
    const { blockNumber, position } = await this.#parts.orderer.broadcast(envelope);
    const block = this.#block(blockNumber);
    const code = block && readBlock(block).metadata[blockMetadata.validationCodes]?.[position];
    if (code === undefined)
      throw new EnclaveError(
        "LEDGER_UNAVAILABLE",
        `transaction ${txId} is ordered, and no peer of ${this.mspId} has told what became of it`,
      );
    if (code !== validationCodes.VALID) throw invalidTransaction(txId, code);
    return { txId, blockNumber };
  }

  async endorse(proposal: Uint8Array, organisations: readonly string[]): Promise<readonly Uint8Array[]> {
    this.#requireOpen();
    const signed = await this.#signProposal(proposal);
    const asked = await Promise.allSettled(organisations.map((mspId) => this.#ask(mspId, signed)));
    const answers = asked.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    if (answers.length > 0) return answers;
    for (const one of asked) if (one.status === "rejected") throw one.reason;
    return [];
  }

  async *blocks(from: bigint, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    const stop = signal === undefined ? this.#closed.signal : AbortSignal.any([signal, this.#closed.signal]);
    let next = from;
    while (!stop.aborted && !this.#parts.isClosed) {
      const block = this.#block(next);
      if (block === undefined) {
        await this.#parts.nextBlock(stop);
        continue;
      }
      next += 1n;
      yield block;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
  }

  #block(number: bigint): Uint8Array | undefined {
    for (const { store } of this.#ownPeers()) {
      const block = store.block(number);
      if (block !== undefined) return block;
    }
    return undefined;
  }

  #propose(chaincode: string, transaction: string, args: readonly (string | Uint8Array)[]) {
    return makeProposal({ channelId: this.channelId, chaincode, transaction, args, creator: this.#creator });
  }

  async #signProposal(proposal: Uint8Array): Promise<Buffer> {
    const signature = await this.#identity.sign(proposal);
    return writeMessage(SignedProposalSchema, create(SignedProposalSchema, { proposalBytes: proposal, signature }));
  }

  /** The fewest organisations that satisfy the chaincode's policy and have a peer that answers, the own one first. */
  #endorsersOf(chaincode: string): readonly string[] {
    const [own] = this.#ownPeers();
    if (own === undefined) throw new EnclaveError("LEDGER_UNAVAILABLE", `no peer of ${this.mspId} answers`);
    const mspIds = [this.mspId, ...this.#parts.mspIds.filter((mspId) => mspId !== this.mspId)];
    const answering = mspIds.filter((mspId) => this.#parts.peersOf(mspId).some(({ isAnswering }) => isAnswering));
    const endorsers = own.policyOf(chaincode).fewestOf(answering);
    if (endorsers === undefined)
      throw new EnclaveError(
        "LEDGER_UNAVAILABLE",
        `too few organisations have a peer that answers to endorse ${chaincode}`,
      );
    return endorsers;
  }

  async #askOrganisation(mspId: string, signed: Uint8Array): Promise<ReadResponse> {
    return readResponse(await this.#ask(mspId, signed));
  }

  /** The answer of the first of an organisation's peers that gives one. */
  async #ask(mspId: string, signed: Uint8Array): Promise<Buffer> {
    let last: unknown = new EnclaveError("LEDGER_UNAVAILABLE", `the channel has no peer of ${mspId}`);
    for (const peer of this.#parts.peersOf(mspId))
      try {
        return await peer.processProposal(signed);
      } catch (error) {
        last = error;
        if (!(error instanceof EnclaveError && error.code === "LEDGER_UNAVAILABLE")) break;
      }
    throw last;
  }

  #ownPeers(): readonly Peer[] {
    return this.#parts.peersOf(this.mspId).filter(({ isAnswering }) => isAnswering);
  }

  #requireOpen(): void {
    if (this.#closed.signal.aborted || this.#parts.isClosed)
      throw new EnclaveError("LEDGER_UNAVAILABLE", "the connection to the ledger is closed");
  }
}

/** @throws EnclaveError what the chaincode aborted with; LEDGER_UNAVAILABLE where that has no reason class */
function requireEndorsed(answer: ReadResponse): ReadResponse & { readonly endorsement: Endorsement } {
  const { status, message, endorsement } = answer;
  if (status < failureStatus && endorsement !== undefined) return { ...answer, endorsement };
  throw fromAbortText(message) ?? new EnclaveError("LEDGER_UNAVAILABLE", `the chaincode failed: ${message}`);
}
