import { maxBlockBytes, maxBlockTransactions } from "./block.ts";
import { LedgerError } from "./errors.ts";
import { execute, type Outcome } from "./execution.ts";
import type { Chain } from "./genesis.ts";
import { headerHash } from "./header.ts";
import { blockLimitRange, SeenTransactions } from "./seen-transactions.ts";
import { StateTree } from "./state-tree.ts";
import type { Block, BlockHeader, FinalBlock, StateWrite, Transaction } from "./types.ts";

/** A block with what it does, not yet part of the chain. */
export interface ExecutedBlock extends Outcome {
  readonly block: Block;
}

/** What a store gives back of the chain. */
export interface StoredChain {
  /** Every entry of the key-value contract, each key once. */
  readonly entries: Iterable<StateWrite> | AsyncIterable<StateWrite>;
  /** The last `blockLimitRange` blocks, or all there are after the genesis block, by height ascending. */
  readonly blocks: Iterable<FinalBlock> | AsyncIterable<FinalBlock>;
}

/** The chain's head and the state after it, in memory. Blocks come only by {@link append}, one height after the other. */
export class Ledger {
  readonly chain: Chain;
  #head: { readonly header: BlockHeader; readonly hash: Buffer };
  #state: StateTree;
  readonly #seen = new SeenTransactions();

  /** A ledger that holds the genesis block only. */
  constructor(chain: Chain) {
    this.chain = chain;
    this.#head = { header: chain.genesisHeader, hash: chain.genesisHash };
    this.#state = StateTree.empty(chain.suite);
  }

  /**
   * The ledger of a store, checked against the head's state root.
   *
   * @throws {LedgerError} `LEDGER_DAMAGED` when blocks do not follow each other or the entries are not the head's state.
   */
  static async restore(chain: Chain, stored: StoredChain): Promise<Ledger> {
    const ledger = new Ledger(chain);
    for await (const block of stored.blocks) {
      const isFirst = ledger.#head.header.height === 0;
      const follows =
        block.header.height === ledger.#head.header.height + 1 && block.header.parentHash.equals(ledger.#head.hash);
      if (!follows && !(isFirst && block.header.height > 1))
        throw new LedgerError(
          "LEDGER_DAMAGED",
          `block ${block.header.height} of the store does not follow the one before`,
        );
      ledger.#seen.add(block.header.height, block.transactions);
      ledger.#head = { header: block.header, hash: headerHash(chain.suite, block.header) };
    }
    let state = StateTree.empty(chain.suite);
    for await (const { key, value } of stored.entries) state = state.set(key, value);
    ledger.#state = state;
    if (!state.root().equals(ledger.#head.header.stateRoot))
      throw new LedgerError("LEDGER_DAMAGED", `the store's entries are not the state after block ${ledger.height}`);
    return ledger;
  }

  get height(): number {
    return this.#head.header.height;
  }

  get head(): BlockHeader {
    return this.#head.header;
  }

  get headHash(): Buffer {
    return this.#head.hash;
  }

  /** The contract's value of a key after the head. */
  get(key: Buffer): Buffer | undefined {
    return this.#state.get(key);
  }

  /** Why the next block can't hold the transaction; undefined when it can. The signature is not checked here. */
  refusalOf(transaction: Transaction): string | undefined {
    const { chainId, groupId, genesisHash } = this.chain;
    if (transaction.chainId !== chainId || transaction.groupId !== groupId)
      return `the transaction is for chain ${transaction.chainId} group ${transaction.groupId}, this is ${chainId} ${groupId}`;
    if (!transaction.genesisHash.equals(genesisHash))
      return `the transaction is for another chain of the name ${chainId}: its genesis is ${shortHash(transaction.genesisHash)}, this one's ${shortHash(genesisHash)}`;
    if (transaction.blockLimit <= this.height)
      return `its block limit ${transaction.blockLimit} is past: the head is ${this.height}`;
    if (transaction.blockLimit > this.height + blockLimitRange)
      return `its block limit ${transaction.blockLimit} is more than ${blockLimitRange} above the head ${this.height}`;
    if (this.#seen.has(transaction)) return "the chain holds the transaction already";
    return undefined;
  }

  /** Makes the next block of transactions that {@link refusalOf} has nothing against and whose signatures are checked. */
  propose(transactions: readonly Transaction[], proposer: number, nowMs: number): ExecutedBlock {
    const height = this.height + 1;
    const outcome = execute(this.chain.suite, this.#state, height, transactions);
    const header: BlockHeader = {
      height,
      parentHash: this.headHash,
      timestampMs: Math.max(nowMs, this.head.timestampMs + 1),
      proposer,
      transactionCount: transactions.length,
      transactionsRoot: outcome.transactionsRoot,
      receiptsRoot: outcome.receiptsRoot,
      stateRoot: outcome.stateRoot,
    };
    return { ...outcome, block: { header, hash: headerHash(this.chain.suite, header), transactions } };
  }

  /**
   * Runs a block that follows the head.
   *
   * @param signed - Whether a transaction's signature is a good one. For a final block answer true: a quorum has checked it.
   * @throws {LedgerError} `BLOCK_REFUSED`.
   */
  execute(block: Block, signed: (transaction: Transaction) => boolean): ExecutedBlock {
    const { header, transactions } = block;
    if (header.height !== this.height + 1 || !header.parentHash.equals(this.headHash))
      throw refused(block, `does not follow the head ${this.height}`);
    if (header.timestampMs <= this.head.timestampMs) throw refused(block, "is not later than its parent");
    if (header.proposer >= this.chain.sealers.length) throw refused(block, "names a proposer that is no sealer");
    if (header.transactionCount !== transactions.length) throw refused(block, "counts other transactions than it has");
    if (transactions.length > maxBlockTransactions) throw refused(block, "has too many transactions");
    if (transactions.reduce((sum, { encoded }) => sum + encoded.length, 0) > maxBlockBytes)
      throw refused(block, "has too many bytes of transactions");
    if (new Set(transactions.map(({ hash }) => hash.toString("latin1"))).size !== transactions.length)
      throw refused(block, "has a transaction twice");
    for (const transaction of transactions) {
      const refusal = this.refusalOf(transaction);
      if (refusal !== undefined) throw refused(block, `has a transaction that does not fit: ${refusal}`);
    }
    const outcome = execute(this.chain.suite, this.#state, header.height, transactions);
    for (const root of ["transactionsRoot", "receiptsRoot", "stateRoot"] as const)
      if (!outcome[root].equals(header[root])) throw refused(block, `has another ${root} than its transactions give`);
    if (!transactions.every(signed)) throw refused(block, "has a transaction with a bad signature");
    return { ...outcome, block };
  }

  /**
   * Makes an executed block the head. That a quorum has committed to it is the caller's to know.
   *
   * @throws {LedgerError} `BLOCK_REFUSED` when the head has moved since the block was executed.
   */
  append(executed: ExecutedBlock): void {
    const { block, state } = executed;
    if (!block.header.parentHash.equals(this.headHash)) throw refused(block, `does not follow the head ${this.height}`);
    this.#head = { header: block.header, hash: block.hash };
    this.#state = state;
    this.#seen.add(block.header.height, block.transactions);
  }
}

function shortHash(hash: Buffer): string {
  return `${hash.toString("hex", 0, 8)}…`;
}

function refused(block: Block, problem: string): LedgerError {
  return new LedgerError("BLOCK_REFUSED", `block ${block.header.height} ${problem}`);
}
