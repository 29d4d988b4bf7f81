import { LedgerError } from "../ledger/errors.ts";
import type { Chain } from "../ledger/genesis.ts";
import type { ExecutedBlock, Ledger } from "../ledger/ledger.ts";
import { decodeTransaction } from "../ledger/transaction.ts";
import { TransactionPool } from "../ledger/transaction-pool.ts";
import type { CommitProof, Transaction } from "../ledger/types.ts";
import { CatchUp } from "./catch-up.ts";
import type { Equivocation, ReplicaEffect, ReplicaEvent } from "./events.ts";
import { GuardBook } from "./guard-book.ts";
import type { GuardRecord } from "./guard-record.ts";
import { HeightConsensus, type Surroundings } from "./height-consensus.ts";
import { maxEvidence, maxGossipTransactions, maxSyncBlocks } from "./limits.ts";
import { decodeMessage } from "./message-encoding.ts";
import type { Message } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import { defaultReplicaSettings, type ReplicaSettings } from "./settings.ts";
import { proofHolds } from "./vote.ts";
import { VoteSigning } from "./vote-signing.ts";

export interface ReplicaOptions {
  readonly chain: Chain;
  /** This node's index in the genesis's list of sealers. */
  readonly self: number;
  /** The chain as the store has it; the replica appends to it. */
  readonly ledger: Ledger;
  /** Every durable record of the double-sign guard for heights above the ledger's; lower ones may be among them. */
  readonly guard: Iterable<GuardRecord>;
  /** The guard has forgotten records of heights up to this one: nothing is signed there. @defaultValue `0` */
  readonly closedHeight?: number;
  readonly settings?: Partial<ReplicaSettings>;
}

/**
 * One sealer's part in the consensus, as a machine without I/O: events in, effects out, in one order. The same events give the
 * same effects.
 */
export class Replica {
  readonly #chain: Chain;
  readonly #self: number;
  readonly #ledger: Ledger;
  readonly #pool: TransactionPool;
  readonly #guard: GuardBook;
  readonly #signing: VoteSigning;
  readonly #outbox = new Outbox();
  readonly #settings: ReplicaSettings;
  readonly #catchUp: CatchUp;
  #consensus: HeightConsensus;
  /** Messages of the next height, one for each peer and kind, until this replica gets there. */
  readonly #early = new Map<string, { readonly from: number; readonly message: Message }>();
  /** This node's own clients' transactions, to be told again while they wait. */
  readonly #own = new Map<string, Transaction>();
  readonly #evidence: Equivocation[] = [];

  /** @throws {LedgerError} `ENCODING_INVALID` for a guard record whose prepared block can't be read; {@link RangeError} for a `self` that is no sealer. */
  constructor(options: ReplicaOptions) {
    this.#chain = options.chain;
    this.#self = options.self;
    this.#ledger = options.ledger;
    this.#settings = { ...defaultReplicaSettings, ...options.settings };
    this.#pool = new TransactionPool(this.#ledger);
    this.#guard = new GuardBook(this.#chain, options.guard, options.closedHeight);
    this.#signing = new VoteSigning(this.#chain, this.#self, this.#guard, this.#outbox);
    this.#catchUp = new CatchUp(this.#ledger, this.#outbox, this.#settings);
    this.#consensus = new HeightConsensus(this.#surroundings());
  }

  get height(): number {
    return this.#ledger.height;
  }

  get view(): number {
    return this.#consensus.view;
  }

  /** Transactions that wait for a block. */
  get waiting(): number {
    return this.#pool.size;
  }

  /** Proofs that sealers have cheated, the last 64 since the start. */
  get evidence(): readonly Equivocation[] {
    return this.#evidence;
  }

  /** Takes one event; returns what must be done for it, in this order. */
  handle(event: ReplicaEvent): readonly ReplicaEffect[] {
    switch (event.kind) {
      case "start":
        this.#enterHeight(event.nowMs);
        break;
      case "message":
        this.#receive(event.from, event.bytes, event.nowMs);
        break;
      case "submit":
        this.#submit(event.id, event.bytes, event.nowMs);
        break;
      case "guard-stored":
        this.#signing.guardStored(event.id);
        break;
      case "guard-failed":
        this.#signing.guardFailed();
        break;
      case "signed": {
        const vote = this.#signing.signed(event.id, event.signature);
        if (vote !== undefined) this.#consensus.onOwnVote(vote, event.nowMs);
        break;
      }
      case "sign-failed":
        this.#signing.signFailed(event.id, event.mayHaveSigned);
        break;
      case "signed-by-another":
        this.#signing.signedByAnother();
        break;
      case "timer":
        if (this.#outbox.hasFired(event.name, event.token)) this.#onTimer(event.name, event.nowMs);
        break;
    }
    return this.#outbox.take();
  }

  #onTimer(name: Extract<ReplicaEvent, { kind: "timer" }>["name"], nowMs: number): void {
    if (name === "view") this.#consensus.onViewTimer(nowMs);
    else if (name === "propose") this.#consensus.onProposalDue(nowMs);
    else if (name === "sync") this.#catchUp.onTimer();
    else this.#resend();
  }

  #resend(): void {
    this.#outbox.send("all", { kind: "status", height: this.#ledger.height });
    this.#consensus.resend();
    this.#signing.askAgain();
    for (const [name, transaction] of this.#own) if (!this.#pool.has(transaction)) this.#own.delete(name);
    const transactions = [...this.#own.values()].slice(0, maxGossipTransactions);
    if (transactions.length > 0) this.#outbox.send("all", { kind: "transactions", transactions });
    this.#outbox.setTimer("resend", this.#settings.resendMs);
  }

  #submit(id: number, bytes: Buffer, nowMs: number): void {
    let transaction: Transaction;
    try {
      transaction = decodeTransaction(this.#chain.suite, bytes);
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      this.#outbox.add({ kind: "submission-refused", id, reason: error.message, full: false });
      return;
    }
    const answer = this.#pool.add(transaction);
    if (answer.kind === "refused") {
      this.#outbox.add({ kind: "submission-refused", id, reason: answer.reason, full: answer.cause === "full" });
      return;
    }
    this.#outbox.add({ kind: "submitted", id, hash: transaction.hash });
    if (answer.kind === "known") return;
    this.#own.set(transaction.hash.toString("latin1"), transaction);
    this.#outbox.send("all", { kind: "transactions", transactions: [transaction] });
    this.#consensus.onWork(nowMs);
  }

  #receive(from: number, bytes: Buffer, nowMs: number): void {
    let problem: string | undefined;
    try {
      problem = this.#onMessage(from, decodeMessage(this.#chain, bytes), nowMs);
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      problem = error.message;
    }
    if (problem !== undefined) this.#outbox.add({ kind: "misbehaviour", peer: from, reason: problem });
  }

  /** Returns what an honest peer would not have done. */
  #onMessage(from: number, message: Message, nowMs: number): string | undefined {
    switch (message.kind) {
      case "proposal":
      case "vote":
      case "view-change":
        return this.#onConsensusMessage(from, message, nowMs);
      case "status":
        this.#catchUp.heard(from, message.height);
        return undefined;
      case "block-request":
        return this.#onBlockRequest(from, message.fromHeight, message.count);
      case "blocks":
        return this.#catchUp.answered(from, message.blocks, (block) => {
          if (!proofHolds(this.#chain, block)) throw new LedgerError("PROOF_REFUSED");
          // A quorum stands for the transactions' signatures: an honest sealer among it has checked them.
          this.#append(
            this.#ledger.execute(block, () => true),
            block.proof,
            nowMs,
          );
        });
      case "transactions":
        return this.#onTransactions(message.transactions, nowMs);
    }
  }

  #onConsensusMessage(
    from: number,
    message: Extract<Message, { kind: "proposal" | "vote" | "view-change" }>,
    nowMs: number,
  ): string | undefined {
    const { height } = slotOf(message);
    // Whoever votes on a height has the one before.
    this.#catchUp.heard(from, height - 1);
    if (height === this.#ledger.height + 2) {
      const phase = message.kind === "vote" ? message.vote.phase : "";
      this.#early.set(`${from} ${message.kind} ${phase}`, { from, message });
    }
    if (height !== this.#consensus.height) return undefined;
    switch (message.kind) {
      case "proposal":
        return this.#consensus.onProposal(message.proposal, nowMs);
      case "vote":
        return this.#consensus.onVote(message.vote, nowMs);
      case "view-change":
        return this.#consensus.onViewChange(message.change, message.block, nowMs);
    }
  }

  #onTransactions(transactions: readonly Transaction[], nowMs: number): string | undefined {
    let problem: string | undefined;
    for (const transaction of transactions) {
      const answer = this.#pool.add(transaction);
      if (answer.kind !== "refused" || answer.cause !== "forged") continue;
      // Each check of a signature costs: the rest of such a frame is not worth it.
      problem = "sent a transaction that no one has signed";
      break;
    }
    this.#consensus.onWork(nowMs);
    return problem;
  }

  #onBlockRequest(from: number, fromHeight: number, count: number): string | undefined {
    if (fromHeight < 1 || count < 1) return "asked for blocks that no chain has";
    const there = this.#ledger.height - fromHeight + 1;
    if (there < 1) return undefined;
    this.#outbox.add({ kind: "serve-blocks", to: from, fromHeight, count: Math.min(count, there, maxSyncBlocks) });
    return undefined;
  }

  #append(executed: ExecutedBlock, proof: CommitProof, nowMs: number): void {
    this.#ledger.append(executed);
    const { block, receipts, writes } = executed;
    this.#outbox.add({ kind: "store-block", block: { ...block, proof }, receipts, writes });
    this.#pool.settle(block.transactions);
    this.#guard.forgetBelow(this.#ledger.height + 1);
    const sinceMs = this.#consensus.acceptedAtMs;
    this.#consensus = new HeightConsensus(this.#surroundings());
    this.#enterHeight(nowMs, sinceMs);
  }

  /** @param sinceMs - When the block before was taken, where this replica has voted for it. */
  #enterHeight(nowMs: number, sinceMs: number = nowMs): void {
    this.#signing.keepOnly(this.#consensus.height, this.#consensus.view);
    this.#consensus.begin(nowMs, sinceMs);
    this.#outbox.setTimer("resend", this.#settings.resendMs);
    const early = [...this.#early.values()];
    this.#early.clear();
    for (const { from, message } of early) {
      const problem = this.#onMessage(from, message, nowMs);
      if (problem !== undefined) this.#outbox.add({ kind: "misbehaviour", peer: from, reason: problem });
    }
  }

  #surroundings(): Surroundings {
    return {
      chain: this.#chain,
      self: this.#self,
      ledger: this.#ledger,
      pool: this.#pool,
      guard: this.#guard,
      signing: this.#signing,
      outbox: this.#outbox,
      settings: this.#settings,
      decided: (executed, proof, nowMs) => this.#append(executed, proof, nowMs),
      cheated: (evidence) => {
        this.#evidence.push(evidence);
        if (this.#evidence.length > maxEvidence) this.#evidence.shift();
        this.#outbox.add({ kind: "equivocation", evidence });
      },
    };
  }
}

function slotOf(message: Extract<Message, { kind: "proposal" | "vote" | "view-change" }>): { readonly height: number } {
  if (message.kind === "proposal") return message.proposal;
  return message.kind === "vote" ? message.vote : message.change;
}
