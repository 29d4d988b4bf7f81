import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { create, toBinary } from "@bufbuild/protobuf";
import type { ChaincodeDefinition } from "../../ercc/registry-state.ts";
import { EnclaveError } from "../../errors.ts";
import {
  ApproveChaincodeDefinitionForMyOrgArgsSchema,
  CommitChaincodeDefinitionArgsSchema,
} from "../../messages/generated/fabric/lifecycle_pb.ts";
import { type ChannelConfig, readChannelConfig } from "../channel-config.ts";
import { lifecycleName, readDefinition } from "../definitions.ts";
import type { Ledger, LedgerIdentity } from "../ledger.ts";
import type { Organisation } from "../membership.ts";
import type { Chaincode } from "./chaincode.ts";
import { type ConnectionParts, EmbeddedConnection } from "./connection.ts";
import { checkNewLedger, disposing, foundLedger, type NewLedger, ordererMspId } from "./founding.ts";
import { ledgerIdentity, readIdentity, signingIdentity } from "./identities.ts";
import { LedgerFolder, LedgerLock } from "./ledger-folder.ts";
import { lifecycleChaincode } from "./lifecycle.ts";
import { Orderer } from "./orderer.ts";
import type { IssueInput } from "./organisation-authority.ts";
import { Peer } from "./peer.ts";
import { PeerStore } from "./peer-store.ts";

export interface OpenOptions {
  /** How long to wait for another process to let go of the folder. @defaultValue 0 */
  readonly lockWaitMs?: number;
}

/** What `define` makes of a chaincode. */
export interface NewDefinition {
  readonly version: string;
  /** One more than the last one's; the first is 1. */
  readonly sequence: bigint;
  /** protos.ApplicationPolicy, see signature-policy.ts. */
  readonly policy: Uint8Array;
}

/**
 * A channel of Hyperledger Fabric in one process, for trials and tests: organisations with their authorities, peers with their
 * own state, one orderer. Messages, hashes, validation and their order are Fabric's; the trust is not, for all keys lie in one
 * folder. A transaction that was told committed is on disk, at the orderer and at every peer that follows.
 */
export class EmbeddedLedger implements Ledger {
  readonly channelId: string;
  readonly #folder: LedgerFolder;
  readonly #lock: LedgerLock;
  readonly #channel: ChannelConfig;
  readonly #genesisBlock: Buffer;
  readonly #orderer: Orderer;
  readonly #peers: readonly Peer[];
  /** Orderer and peers: what is closed with the ledger. */
  readonly #opened: DisposableStack;
  readonly #waiting = new Set<() => void>();
  #isClosed = false;

  private constructor(folder: LedgerFolder, lock: LedgerLock) {
    this.#folder = folder;
    this.#lock = lock;
    this.#genesisBlock = readFileSync(folder.genesisBlock);
    this.#channel = readChannelConfig(this.#genesisBlock);
    this.channelId = this.#channel.channelId;
    using opened = new DisposableStack();
    this.#peers = this.#openPeers();
    for (const peer of this.#peers) opened.use(peer);
    const identity = signingIdentity(ordererMspId, readIdentity(folder.identity(ordererMspId, "orderer")));
    this.#orderer = opened.use(
      new Orderer(folder.blocks, this.#genesisBlock, this.#channel, identity, () => this.#deliver()),
    );
    for (const peer of this.#peers) peer.requireOneOf(this.#orderer);
    this.#opened = opened.move();
    const lifecycle = lifecycleChaincode(this.#channel.membership.mspIds);
    this.install(lifecycleName, lifecycle);
  }

  /**
   * Makes a channel: an authority, an admin, a client and peers for each organisation, and the first block.
   *
   * @throws EnclaveError SETTINGS_INVALID: a name, a number, or a folder that is not empty; LEDGER_UNAVAILABLE: it is locked
   */
  static async create(input: NewLedger, options: OpenOptions = {}): Promise<EmbeddedLedger> {
    checkNewLedger(input);
    mkdirSync(input.folder, { recursive: true, mode: 0o700 });
    if (readdirSync(input.folder).length > 0)
      throw new EnclaveError("SETTINGS_INVALID", `${input.folder} is not empty, so no ledger is made there`);
    const folder = new LedgerFolder(input.folder);
    const lock = await LedgerLock.take(folder, options.lockWaitMs ?? 0);
    try {
      await foundLedger(folder, input);
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
    return EmbeddedLedger.#start(folder, lock);
  }

  /**
   * Opens a channel. Every copy is read and checked; peers that are behind the orderer catch up.
   *
   * @throws EnclaveError SETTINGS_INVALID: no ledger there, or one whose making was cut short; LEDGER_UNAVAILABLE: another process
   *   works on it, or a copy is damaged
   */
  static async open(path: string, options: OpenOptions = {}): Promise<EmbeddedLedger> {
    const folder = new LedgerFolder(path);
    if (!folder.isComplete)
      throw new EnclaveError("SETTINGS_INVALID", `${path} holds no ledger, or one whose making was cut short`, {
        hint: "make a new one in an empty folder",
      });
    return EmbeddedLedger.#start(folder, await LedgerLock.take(folder, options.lockWaitMs ?? 0));
  }

  static #start(folder: LedgerFolder, lock: LedgerLock): EmbeddedLedger {
    try {
      const ledger = new EmbeddedLedger(folder, lock);
      ledger.#deliver();
      return ledger;
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  }

  /** The hash that the second block names as its previous one: 32 bytes. */
  get channelHash(): Buffer {
    return Buffer.from(this.#channel.channelHash);
  }

  /** common.Block 0, with the organisations' roots. */
  get genesisBlock(): Buffer {
    return Buffer.from(this.#genesisBlock);
  }

  /** The channel's, with their roots. */
  get organisations(): readonly Organisation[] {
    return this.#channel.organisations;
  }

  /** How many blocks are ordered. */
  get height(): bigint {
    return this.#orderer.height;
  }

  get mspIds(): readonly string[] {
    return this.#channel.membership.mspIds;
  }

  /** An identity that {@link create} made. @throws EnclaveError NOT_FOUND */
  identity(mspId: string, name: "admin" | "client"): LedgerIdentity {
    using issued = disposing(readIdentity(this.#folder.identity(this.#requireMember(mspId), name)));
    return ledgerIdentity(mspId, issued);
  }

  /** A further identity of an organisation, kept nowhere. @throws EnclaveError NOT_FOUND */
  async issueIdentity(mspId: string, input: IssueInput): Promise<LedgerIdentity> {
    const { OrganisationAuthority } = await import("./organisation-authority.ts");
    using authority = disposing(readIdentity(this.#folder.identity(this.#requireMember(mspId), "ca")));
    using issued = disposing(await OrganisationAuthority.load(authority).issue(input));
    return ledgerIdentity(mspId, issued);
  }

  /** A peer of an organisation, to stop it or to leave it behind. @throws EnclaveError NOT_FOUND */
  peer(mspId: string, index = 0): Peer {
    const peer = this.#peersOf(mspId).find((one) => one.index === index);
    if (peer === undefined) throw new EnclaveError("NOT_FOUND", `the channel has no peer ${index} of ${mspId}`);
    return peer;
  }

  /** Has peers run a chaincode. Chaincodes are code: they are not kept, and are installed after each {@link open}. */
  install(name: string, chaincode: Chaincode, mspIds: readonly string[] = this.mspIds): void {
    for (const mspId of mspIds) for (const peer of this.#peersOf(mspId)) peer.install(name, chaincode);
  }

  /**
   * Defines a chaincode on the channel: the admins of `approvedBy` approve, and the first of them commits. A definition that is
   * there already, just so, is left.
   *
   * @throws EnclaveError CONFLICT: not the next sequence; POLICY_DENIED: no majority approves; MALFORMED
   */
  async define(
    name: string,
    { version, sequence, policy }: NewDefinition,
    approvedBy: readonly string[] = this.mspIds,
  ): Promise<void> {
    const present = this.definition(name);
    const isSame = present?.version === version && present.sequence === sequence;
    if (isSame && Buffer.from(policy).equals(present.validationParameter)) return;
    const fields = { name, version, sequence, validationParameter: policy };
    const approval = create(ApproveChaincodeDefinitionForMyOrgArgsSchema, fields);
    for (const mspId of approvedBy)
      await this.#asAdmin(mspId, "ApproveChaincodeDefinitionForMyOrg", [
        toBinary(ApproveChaincodeDefinitionForMyOrgArgsSchema, approval),
      ]);
    const [committer] = approvedBy;
    if (committer === undefined) throw new EnclaveError("POLICY_DENIED", `nobody approves a definition of ${name}`);
    const commit = create(CommitChaincodeDefinitionArgsSchema, fields);
    await this.#asAdmin(committer, "CommitChaincodeDefinition", [
      toBinary(CommitChaincodeDefinitionArgsSchema, commit),
    ]);
  }

  /** The committed definition of a chaincode; undefined where the channel has none of this name. */
  definition(name: string): ChaincodeDefinition | undefined {
    const peer = this.#peers.find(({ isFollowing }) => isFollowing);
    return readDefinition(name, (key) => peer?.store.state.get(lifecycleName, key)?.value);
  }

  async connect(identity: LedgerIdentity): Promise<EmbeddedConnection> {
    this.#requireMember(identity.mspId);
    return new EmbeddedConnection(identity, this.#parts);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#opened.dispose();
    this.#wake();
    this.#lock[Symbol.dispose]();
  }

  /** Every peer that follows takes what it does not have yet. One that cannot stops answering; the others go on. */
  #deliver(): void {
    for (const peer of this.#peers) peer.follow(this.#orderer);
    this.#wake();
  }

  #openPeers(): readonly Peer[] {
    const peers: Peer[] = [];
    try {
      for (const mspId of this.#channel.membership.mspIds)
        for (let index = 0; index < this.#folder.peerCount(mspId); index++) {
          const identity = signingIdentity(mspId, readIdentity(this.#folder.identity(mspId, `peer${index}`)));
          const store = new PeerStore(this.#folder.peerDatabase(mspId, index));
          peers.push(new Peer(index, identity, this.#channel, store));
        }
    } catch (error) {
      for (const peer of peers) peer[Symbol.dispose]();
      throw error;
    }
    return peers;
  }

  get #parts(): ConnectionParts {
    const isClosed = () => this.#isClosed;
    return {
      channelId: this.channelId,
      mspIds: this.mspIds,
      orderer: this.#orderer,
      peersOf: (mspId) => this.#peersOf(mspId),
      nextBlock: (signal) => this.#nextBlock(signal),
      get isClosed() {
        return isClosed();
      },
    };
  }

  #peersOf(mspId: string): readonly Peer[] {
    return this.#peers.filter((peer) => peer.mspId === mspId);
  }

  async #nextBlock(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted || this.#isClosed) return;
    await new Promise<void>((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal?.addEventListener("abort", wake);
    });
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  async #asAdmin(mspId: string, transaction: string, args: readonly Uint8Array[]): Promise<void> {
    await using connection = await this.connect(this.identity(mspId, "admin"));
    await connection.invoke(lifecycleName, transaction, args);
  }

  #requireMember(mspId: string): string {
    if (!this.mspIds.includes(mspId))
      throw new EnclaveError("NOT_FOUND", `channel ${this.channelId} has no organisation ${mspId}`);
    return mspId;
  }
}
