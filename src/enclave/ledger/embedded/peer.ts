import { EnclaveError, toAbortText } from "../../errors.ts";
import { SignedProposalSchema } from "../../messages/generated/fabric/peer_pb.ts";
import { readBlock } from "../block.ts";
import type { ChannelConfig } from "../channel-config.ts";
import { lifecycleName, readDefinition } from "../definitions.ts";
import { makeEndorsedResponse, makeFailedResponse } from "../endorsement.ts";
import { readMessage } from "../fabric-message.ts";
import { isSignedLowS } from "../low-s.ts";
import { type ReadProposal, readProposal } from "../proposal.ts";
import { channelPolicies, EndorsementPolicy, policyReference } from "../signature-policy.ts";
import type { Chaincode } from "./chaincode.ts";
import type { SigningIdentity } from "./identities.ts";
import type { PeerStore } from "./peer-store.ts";
import { ReadWriteSet } from "./read-write-set.ts";
import { Simulation, type SimulationInput } from "./simulation.ts";
import { damaged } from "./state-database.ts";
import type { StateSnapshot } from "./state-snapshots.ts";

const ok = 200;
const failed = 500;
const chaincodeTimeoutMs = 30_000;
const maxQueryDepth = 4;
const lifecycleVersion = "syscc";

/** All blocks that are ordered. */
interface Blocks {
  readonly height: bigint;
  block(number: bigint): Uint8Array | undefined;
}

/** A peer of one organisation: its own copy of the ledger, its own key, chaincodes that it runs. */
export class Peer implements Disposable {
  readonly index: number;
  /** Whether it takes proposals. */
  isAnswering = true;
  /** Whether it commits blocks; one that does not answers from an old state. */
  isFollowing = true;
  /** Why it has stopped by itself. */
  fault: unknown;
  readonly #identity: SigningIdentity;
  readonly #channel: ChannelConfig;
  readonly #store: PeerStore;
  readonly #chaincodes = new Map<string, Chaincode>();

  constructor(index: number, identity: SigningIdentity, channel: ChannelConfig, store: PeerStore) {
    this.index = index;
    this.#identity = identity;
    this.#channel = channel;
    this.#store = store;
  }

  get mspId(): string {
    return this.#identity.mspId;
  }

  get store(): PeerStore {
    return this.#store;
  }

  install(name: string, chaincode: Chaincode): void {
    this.#chaincodes.set(name, chaincode);
  }

  /**
   * Runs the chaincode of a proposal and signs what came of it.
   *
   * @param signedProposal - protos.SignedProposal
   * @returns protos.ProposalResponse; where the chaincode refused, without an endorsement
   * @throws EnclaveError UNAUTHORIZED: its creator is nobody of the channel, or did not sign it; WRONG_CONTEXT: another channel;
   *   REPLAY: committed already; NOT_FOUND: no such chaincode; LEDGER_UNAVAILABLE; MALFORMED
   */
  async processProposal(signedProposal: Uint8Array): Promise<Buffer> {
    if (!this.isAnswering) throw new EnclaveError("LEDGER_UNAVAILABLE", `${this.#name} does not answer`);
    const { proposalBytes, signature } = readMessage(SignedProposalSchema, signedProposal);
    const proposal = readProposal(proposalBytes);
    const creator = this.#channel.membership.identify(proposal.creator, Date.now());
    if (creator === undefined || !isSignedLowS(proposalBytes, signature, creator.key))
      throw new EnclaveError(
        "UNAUTHORIZED",
        "a proposal is not signed by a member of the channel whose certificate is valid",
      );
    if (proposal.channelId !== this.#channel.channelId)
      throw new EnclaveError("WRONG_CONTEXT", `a proposal is for another channel than ${this.#channel.channelId}`);
    using state = this.#store.snapshot();
    if (state.hasTransaction(proposal.txId))
      throw new EnclaveError("REPLAY", `transaction ${proposal.txId} is in the ledger already`);
    const version = this.#versionOf(proposal.chaincode, state);
    const sets = new ReadWriteSet();
    const input = {
      proposal,
      signedProposal,
      creator: { mspId: creator.mspId, isAdmin: creator.role === "admin" },
      channelHash: this.#channel.channelHash,
      peerMspId: this.mspId,
      state,
      sets,
    };
    try {
      const payload = await this.#run(input, true, 0);
      return makeEndorsedResponse(
        {
          proposalHash: proposal.hash,
          results: sets.encode(),
          status: ok,
          message: "",
          payload,
          chaincode: { name: proposal.chaincode, version },
        },
        this.#identity,
      );
    } catch (error) {
      if (error instanceof EnclaveError) return makeFailedResponse(failed, toAbortText(error));
      return makeFailedResponse(failed, error instanceof Error ? error.message : "the chaincode failed");
    }
  }

  /** @throws EnclaveError LEDGER_UNAVAILABLE: its copy is not of these blocks, or has some that they have not */
  requireOneOf(orderer: Blocks): void {
    const { height } = this.#store;
    if (height === 0n) return;
    const own = this.#store.block(height - 1n);
    const theirs = orderer.block(height - 1n);
    if (own === undefined || theirs === undefined || !readBlock(own).hash.equals(readBlock(theirs).hash))
      throw damaged(this.#store.path);
  }

  /**
   * Takes the blocks that it does not have yet, if it follows. Where one cannot be committed (a full disk, a damaged copy) it
   * stops answering and following.
   */
  follow(orderer: Blocks): void {
    try {
      while (this.isFollowing && this.#store.height < orderer.height) {
        const block = orderer.block(this.#store.height);
        if (block === undefined) return;
        this.#store.commit(block, this.#channel);
      }
    } catch (cause) {
      this.isAnswering = false;
      this.isFollowing = false;
      this.fault = cause;
    }
  }

  /** Who endorses this chaincode. @throws EnclaveError NOT_FOUND */
  policyOf(chaincode: string): EndorsementPolicy {
    const { mspIds } = this.#channel.membership;
    if (chaincode === lifecycleName)
      return new EndorsementPolicy(policyReference(channelPolicies.lifecycleEndorsement), mspIds);
    const definition = readDefinition(chaincode, (key) => this.#store.state.get(lifecycleName, key)?.value);
    if (definition === undefined) throw undefinedChaincode(chaincode, this.#channel.channelId);
    return new EndorsementPolicy(definition.validationParameter, mspIds);
  }

  async #run(input: Omit<SimulationInput, "runQuery">, mayWrite: boolean, depth: number): Promise<Uint8Array> {
    const { chaincode: name } = input.proposal;
    const chaincode = this.#chaincodes.get(name);
    if (chaincode === undefined)
      throw new EnclaveError("LEDGER_UNAVAILABLE", `chaincode ${name} is not installed at ${this.#name}`);
    const runQuery: SimulationInput["runQuery"] = async (other, transaction, args) => {
      if (depth >= maxQueryDepth) throw new EnclaveError("POLICY_DENIED", "chaincodes ask one another too deeply");
      this.#versionOf(other, input.state as StateSnapshot);
      const texts = [transaction, ...args].map((arg) => Buffer.from(arg));
      const proposal: ReadProposal = { ...input.proposal, chaincode: other, args: texts };
      return this.#run({ ...input, proposal }, false, depth + 1);
    };
    using simulation = new Simulation({ ...input, runQuery }, mayWrite);
    if (name !== lifecycleName) simulation.noteDefinition();
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(
        new EnclaveError("LEDGER_UNAVAILABLE", `chaincode ${name} took longer than ${chaincodeTimeoutMs} ms`),
      );
    }, chaincodeTimeoutMs).unref();
    try {
      return Buffer.from((await Promise.race([chaincode(simulation), late.promise])) as string);
    } finally {
      clearTimeout(timer);
    }
  }

  #versionOf(chaincode: string, state: StateSnapshot): string {
    if (chaincode === lifecycleName) return lifecycleVersion;
    const definition = readDefinition(chaincode, (key) => state.get(lifecycleName, key)?.value);
    if (definition === undefined) throw undefinedChaincode(chaincode, this.#channel.channelId);
    return definition.version;
  }

  get #name(): string {
    return `peer ${this.index} of ${this.mspId}`;
  }

  [Symbol.dispose](): void {
    this.#store[Symbol.dispose]();
  }
}

function undefinedChaincode(chaincode: string, channelId: string): EnclaveError {
  return new EnclaveError("NOT_FOUND", `channel ${channelId} has no definition of chaincode ${chaincode}`);
}
