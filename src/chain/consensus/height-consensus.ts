import { LedgerError } from "../ledger/errors.ts";
import type { Chain } from "../ledger/genesis.ts";
import type { ExecutedBlock, Ledger } from "../ledger/ledger.ts";
import type { TransactionPool } from "../ledger/transaction-pool.ts";
import type { Block, CommitProof } from "../ledger/types.ts";
import { BallotBox } from "./ballot-box.ts";
import { claimDigest, type PreparedBlock } from "./certificate.ts";
import type { Equivocation } from "./events.ts";
import type { GuardBook } from "./guard-book.ts";
import { maxView } from "./limits.ts";
import type { Message, Proposal, ViewChange } from "./messages.ts";
import type { Outbox } from "./outbox.ts";
import type { ReplicaSettings } from "./settings.ts";
import { changeHolds, highestPrepared, isJustified, ViewChanges } from "./view-changes.ts";
import { isSigned, type Vote } from "./vote.ts";
import type { VoteSigning } from "./vote-signing.ts";

/** What the consensus on each height shares with the replica. */
export interface Surroundings {
  readonly chain: Chain;
  /** This sealer's index. */
  readonly self: number;
  readonly ledger: Ledger;
  readonly pool: TransactionPool;
  readonly guard: GuardBook;
  readonly signing: VoteSigning;
  readonly outbox: Outbox;
  readonly settings: ReplicaSettings;
  /** A block has its commit proof; the consensus on its height is over. */
  decided(executed: ExecutedBlock, proof: CommitProof, nowMs: number): void;
  cheated(evidence: Equivocation): void;
}

/** A view's time doubles from view to view, this many times. */
const mostDoublings = 6;

/**
 * PBFT (Castro and Liskov 1999, sections 4.2 and 4.4) on one height: pre-prepare, prepare, commit, view change and new view. A
 * block is final with the commit votes of a quorum, which are its checkpoint too.
 */
export class HeightConsensus {
  readonly #around: Surroundings;
  readonly #height: number;
  readonly #ballots: BallotBox;
  readonly #changes: ViewChanges;
  #view: number;
  /** The last block that this replica knows to be prepared; every view change of its own tells of it. */
  #prepared: PreparedBlock | undefined;
  /** What this view's proposer proposes, checked. */
  #proposed: ExecutedBlock | undefined;
  /** A block of this view that was found bad: sent again, it is not run again. */
  #refused: Buffer | undefined;
  /** This replica's own proposal while it is being signed. */
  #draft: { readonly executed: ExecutedBlock; readonly justification: readonly ViewChange[] } | undefined;
  /** What this replica's view change of this view claims. */
  #claimed: PreparedBlock | undefined;
  /** What it has said in this view, to be said again. */
  #said: Message[] = [];
  #acceptedAtMs: number | undefined;
  #isDue = false;
  #isOver = false;

  constructor(around: Surroundings) {
    this.#around = around;
    this.#height = around.ledger.height + 1;
    this.#ballots = new BallotBox(around.chain);
    this.#changes = new ViewChanges(around.chain);
    this.#view = around.guard.highestView(this.#height) ?? 0;
    this.#prepared = around.guard.prepared(this.#height);
  }

  get height(): number {
    return this.#height;
  }

  get view(): number {
    return this.#view;
  }

  /** When it took the block that it votes for, by its own clock; undefined before. */
  get acceptedAtMs(): number | undefined {
    return this.#acceptedAtMs;
  }

  /**
   * @param sinceMs - When the block before was taken. The block time runs from then, so that the time that its votes took is no
   *   part of it.
   */
  begin(nowMs: number, sinceMs: number): void {
    const { outbox, guard, settings } = this.#around;
    outbox.clearTimer("view");
    outbox.clearTimer("propose");
    // Votes from before a restart: others may wait for this height.
    if (guard.highestView(this.#height) !== undefined) this.#startViewTimer();
    const passedMs = Math.min(Math.max(nowMs - sinceMs, 0), settings.blockTimeMs);
    if (this.#isProposer()) outbox.setTimer("propose", settings.blockTimeMs - passedMs);
    this.onWork(nowMs);
  }

  /** Transactions may wait: a block is expected from now on. */
  onWork(nowMs: number): void {
    if (this.#isOver || this.#around.pool.size === 0) return;
    if (!this.#around.outbox.isRunning("view")) this.#startViewTimer();
    this.#propose(nowMs);
  }

  onProposalDue(nowMs: number): void {
    this.#isDue = true;
    this.#propose(nowMs);
  }

  onViewTimer(nowMs: number): void {
    if (this.#isOver || this.#view >= maxView) return;
    if (this.#mayLeaveView()) this.#enterView(this.#view + 1, true, nowMs);
    else this.#startViewTimer();
  }

  /** Returns what an honest peer would not have done. */
  onProposal(proposal: Proposal, nowMs: number): string | undefined {
    const { chain, self, ledger, pool, outbox, settings } = this.#around;
    const { view, sealer, block, signature } = proposal;
    if (this.#isOver || view < this.#view || sealer === self) return undefined;
    if (sealer !== chain.proposerOf(this.#height, view)) return "proposed out of turn";
    const vote: Vote = { height: this.#height, view, phase: "pre-prepare", digest: block.hash, sealer, signature };
    const isAhead = view > this.#view;
    if (isAhead) {
      if (!isSigned(chain, vote)) return "sent a proposal with a bad signature";
      if (!isJustified(chain, proposal)) return "sent a proposal without its justification";
      this.#enterView(view, false, nowMs);
    }
    const problem = this.#count(vote);
    if (problem !== undefined) return problem;
    if (this.#proposed !== undefined || !this.#ballots.digestOf(view, "pre-prepare", sealer)?.equals(block.hash))
      return undefined;
    if (!isAhead && !isJustified(chain, proposal)) return "sent a proposal without its justification";
    if (this.#refused?.equals(block.hash)) return "proposed a bad block again";
    const isNew = highestPrepared(proposal.justification) === undefined;
    const latestMs = Math.max(nowMs + settings.clockDriftMs, ledger.head.timestampMs + 1);
    if (isNew && block.header.timestampMs > latestMs) return "proposed a block of the future";
    const executed = this.#executed(block, (transaction) => pool.signed(transaction));
    if (typeof executed === "string") {
      this.#refused = block.hash;
      return `proposed a bad block: ${executed}`;
    }
    if (view > 0 || !outbox.isRunning("view")) this.#startViewTimer();
    this.#accept(executed, nowMs);
    return undefined;
  }

  /** Returns what an honest peer would not have done. */
  onVote(vote: Vote, nowMs: number): string | undefined {
    if (this.#isOver || vote.sealer === this.#around.self) return undefined;
    const problem = this.#count(vote);
    this.#progress(nowMs);
    return problem;
  }

  /** Returns what an honest peer would not have done. */
  onViewChange(change: ViewChange, block: Block | undefined, nowMs: number): string | undefined {
    const { chain, self } = this.#around;
    if (this.#isOver || change.sealer === self || change.view < this.#view || !this.#changes.isNews(change))
      return undefined;
    if (!changeHolds(chain, change)) return "sent a view change that does not hold";
    const evidence = this.#changes.add(change, block);
    if (evidence !== undefined) this.#around.cheated(evidence);
    // One honest sealer at least has reached this view: waiting for the own timer only takes time.
    const reached = this.#changes.reachedBy(chain.faulty + 1);
    if (reached > this.#view) this.#enterView(reached, true, nowMs);
    this.#propose(nowMs);
    return undefined;
  }

  /** A vote of this replica's own has its signature. */
  onOwnVote(vote: Vote, nowMs: number): void {
    if (this.#isOver || vote.height !== this.#height || vote.view !== this.#view) return;
    const { height, view, sealer, signature } = vote;
    if (vote.phase === "view-change") {
      const change: ViewChange = { height, view, sealer, signature, prepared: this.#claimed?.certificate };
      this.#changes.add(change, this.#claimed?.block);
      if (this.#proposed === undefined) this.#say({ kind: "view-change", change, block: this.#claimed?.block });
      this.#propose(nowMs);
      return;
    }
    this.#count(vote);
    if (vote.phase === "pre-prepare") {
      if (this.#draft === undefined) return;
      const { executed, justification } = this.#draft;
      const proposal: Proposal = { height, view, sealer, signature, justification, block: executed.block };
      this.#say({ kind: "proposal", proposal });
      this.#accept(executed, nowMs);
      return;
    }
    this.#say({ kind: "vote", vote });
    this.#progress(nowMs);
  }

  /** Says again what may have been lost. */
  resend(): void {
    for (const message of this.#said) this.#around.outbox.send("all", message);
  }

  #say(message: Message): void {
    this.#said.push(message);
    this.#around.outbox.send("all", message);
  }

  #count(vote: Vote): string | undefined {
    const answer = this.#ballots.add(vote, this.#view);
    if (answer.kind === "equivocation") this.#around.cheated(answer.evidence);
    return answer.kind === "bad-signature" ? "sent a vote with a bad signature" : undefined;
  }

  #accept(executed: ExecutedBlock, nowMs: number): void {
    this.#proposed = executed;
    this.#acceptedAtMs = nowMs;
    // The new view is there: its proposer's word replaces the view changes.
    this.#said = this.#said.filter((message) => message.kind !== "view-change");
    const slot = { height: this.#height, view: this.#view };
    this.#around.signing.cast({ ...slot, phase: "prepare", digest: executed.block.hash });
    this.#progress(nowMs);
  }

  /** Takes the steps that the counted votes allow. */
  #progress(nowMs: number): void {
    const { chain, guard, signing, decided } = this.#around;
    const executed = this.#proposed;
    if (executed === undefined || this.#isOver) return;
    const slot = { height: this.#height, view: this.#view };
    const digest = executed.block.hash;
    const prepares = this.#ballots.signatures(this.#view, "prepare", digest);
    if (prepares.length >= chain.quorum && !guard.isUsed({ ...slot, phase: "commit" })) {
      const certificate = { view: this.#view, digest, signatures: prepares };
      this.#prepared = { certificate, block: executed.block };
      signing.cast({ ...slot, phase: "commit", digest }, this.#prepared);
    }
    const commits = this.#ballots.signatures(this.#view, "commit", digest);
    if (commits.length < chain.quorum) return;
    this.#isOver = true;
    decided(executed, { view: this.#view, signatures: commits }, nowMs);
  }

  #propose(nowMs: number): void {
    const { guard, ledger, pool, self, settings, signing } = this.#around;
    const slot = { height: this.#height, view: this.#view };
    if (this.#isOver || !this.#isProposer() || this.#proposed !== undefined) return;
    if (guard.isUsed({ ...slot, phase: "pre-prepare" })) return;
    const justification = this.#view === 0 ? [] : this.#changes.quorumFor(this.#view);
    if (justification === undefined || (this.#view === 0 && !this.#isDue)) return;
    const best = highestPrepared(justification);
    const transactions = best === undefined ? pool.next(settings.blockTransactions) : [];
    // Without transactions there is no block, unless a view without one has to be made up for.
    if (this.#view === 0 && transactions.length === 0) return;
    const known = best === undefined ? undefined : this.#changes.blockOf(best.digest);
    if (best !== undefined && known === undefined) return;
    const executed =
      known === undefined ? ledger.propose(transactions, self, nowMs) : this.#executed(known, () => true);
    if (typeof executed === "string") return;
    this.#draft = { executed, justification };
    signing.cast({ ...slot, phase: "pre-prepare", digest: executed.block.hash });
  }

  /** The block with what it does, or why it is refused. */
  #executed(block: Block, signed: Parameters<Ledger["execute"]>[1]): ExecutedBlock | string {
    try {
      return this.#around.ledger.execute(block, signed);
    } catch (error) {
      if (error instanceof LedgerError) return error.message;
      throw error;
    }
  }

  /** @param isChanging - This replica gives up the views below; otherwise the view's proposer has shown that a quorum has. */
  #enterView(view: number, isChanging: boolean, nowMs: number): void {
    const { chain, outbox, settings, signing } = this.#around;
    this.#view = view;
    this.#proposed = undefined;
    this.#refused = undefined;
    this.#draft = undefined;
    this.#claimed = this.#prepared;
    this.#said = [];
    this.#ballots.forgetBelow(view);
    signing.keepOnly(this.#height, view);
    outbox.add({ kind: "entered-view", height: this.#height, view });
    this.#startViewTimer();
    outbox.setTimer("resend", settings.resendMs);
    const digest = claimDigest(chain, this.#claimed?.certificate);
    if (isChanging) signing.cast({ height: this.#height, view, phase: "view-change", digest });
    this.#propose(nowMs);
  }

  /**
   * A view that still waits for its proposer is left when a quorum has come to it, as in PBFT: one replica alone does not run
   * ahead. A replica whose own view change has no signature and gets none must go on, or the others could wait for it forever.
   */
  #mayLeaveView(): boolean {
    const { chain, self, signing } = this.#around;
    if (this.#view === 0 || this.#proposed !== undefined) return true;
    if (this.#changes.countFrom(this.#view, self) + 1 >= chain.quorum) return true;
    const slot = { height: this.#height, view: this.#view, phase: "view-change" } as const;
    return !this.#changes.has(self, this.#view) && !signing.isPending(slot);
  }

  #isProposer(): boolean {
    return this.#around.chain.proposerOf(this.#height, this.#view) === this.#around.self;
  }

  #startViewTimer(): void {
    const { outbox, settings } = this.#around;
    const blockTimeMs = this.#view === 0 ? settings.blockTimeMs : 0;
    outbox.setTimer("view", blockTimeMs + settings.viewTimeoutMs * 2 ** Math.min(this.#view, mostDoublings));
  }
}
