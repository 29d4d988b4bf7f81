import { BinaryWriter } from "./binary.ts";
import { LedgerError } from "./errors.ts";
import { headerHash } from "./header.ts";
import { emptyStateRoot } from "./state-tree.ts";
import { type ChainSuite, type ChainSuiteName, chainSuites, type Verifier } from "./suite.ts";
import type { BlockHeader } from "./types.ts";

export interface Genesis {
  readonly suite: ChainSuiteName;
  readonly chainId: string;
  readonly groupId: string;
  /** Unix time in milliseconds. */
  readonly timestampMs: number;
  /** Node ids: X ‖ Y in 128 hexadecimal characters. Their order gives the sealers their indexes. */
  readonly sealers: readonly string[];
}

/** More sealers than PBFT's n² messages make sensible. */
export const maxSealers = 64;
export const maxNameBytes = 64;

/** What all of a chain's nodes agree on from the start. */
export class Chain {
  readonly suite: ChainSuite;
  readonly chainId: string;
  readonly groupId: string;
  /** Node ids in lower case, by sealer index. */
  readonly sealers: readonly string[];
  readonly genesisHeader: BlockHeader;
  /** Names the chain in every vote: a signature for one chain says nothing on another. */
  readonly genesisHash: Buffer;
  readonly #verifiers: readonly Verifier[];

  /**
   * @param suite - Another cryptography than the suite's of that name; for simulations.
   * @throws {LedgerError} `GENESIS_INVALID`.
   */
  constructor(genesis: Genesis, suite: ChainSuite = chainSuites[genesis.suite]) {
    this.suite = suite;
    this.chainId = checkedName("chain id", genesis.chainId);
    this.groupId = checkedName("group id", genesis.groupId);
    this.sealers = genesis.sealers.map((sealer) => sealer.toLowerCase());
    if (this.sealers.length < 1 || this.sealers.length > maxSealers)
      throw invalid(`a chain has 1 to ${maxSealers} sealers, got ${this.sealers.length}`);
    if (new Set(this.sealers).size !== this.sealers.length) throw invalid("a sealer is named twice");
    if (!Number.isSafeInteger(genesis.timestampMs) || genesis.timestampMs < 0)
      throw invalid("the time is not a number of milliseconds");
    this.#verifiers = this.sealers.map((sealer) => this.#verifierOf(sealer));
    const keys = this.#verifiers.map((verifier) => verifier.publicKey);
    const described = new BinaryWriter().text("strongroom/chain/genesis/v1").u8(this.suite.id);
    described.text(this.chainId).text(this.groupId).u64(genesis.timestampMs).u16(keys.length);
    for (const key of keys) described.fixed(key);
    const none = this.suite.hash(Buffer.alloc(0));
    this.genesisHeader = {
      height: 0,
      parentHash: this.suite.hash(described.end()),
      timestampMs: genesis.timestampMs,
      proposer: 0,
      transactionCount: 0,
      transactionsRoot: none,
      receiptsRoot: none,
      stateRoot: emptyStateRoot(this.suite),
    };
    this.genesisHash = headerHash(this.suite, this.genesisHeader);
  }

  /** How many sealers may be down or lie: f of n >= 3f + 1. */
  get faulty(): number {
    return Math.floor((this.sealers.length - 1) / 3);
  }

  /** Signatures that decide: any two quorums share an honest sealer. 2f + 1 when n = 3f + 1. */
  get quorum(): number {
    return Math.floor((this.sealers.length + this.faulty) / 2) + 1;
  }

  /** The sealer that proposes: round robin over heights and views. */
  proposerOf(height: number, view: number): number {
    return (height + view) % this.sealers.length;
  }

  /** The sealer's public key, `04 ‖ X ‖ Y`; undefined for an index that no sealer has. */
  publicKeyOf(sealer: number): Buffer | undefined {
    return this.#verifiers[sealer]?.publicKey;
  }

  /** True for the sealer's signature of the hash; false for an unknown sealer. */
  verify(sealer: number, hash: Buffer, signature: Buffer): boolean {
    return this.#verifiers[sealer]?.verify(hash, signature) === true;
  }

  #verifierOf(sealer: string): Verifier {
    try {
      if (!/^[0-9a-f]{128}$/.test(sealer)) throw new RangeError("a node id is 128 hexadecimal characters");
      return this.suite.verifier(Buffer.from(`04${sealer}`, "hex"));
    } catch (cause) {
      const message = `the sealer ${sealer.slice(0, 16)}… is not a node id of a ${this.suite.name} chain`;
      throw new LedgerError("GENESIS_INVALID", message, cause);
    }
  }
}

function checkedName(what: string, name: string): string {
  const bytes = Buffer.byteLength(name);
  if (bytes < 1 || bytes > maxNameBytes || !/^[\x21-\x7e]+$/.test(name))
    throw invalid(`the ${what} is 1 to ${maxNameBytes} printable ASCII characters without spaces`);
  return name;
}

function invalid(message: string): LedgerError {
  return new LedgerError("GENESIS_INVALID", message);
}
