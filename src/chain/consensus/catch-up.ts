import { LedgerError } from "../ledger/errors.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { FinalBlock } from "../ledger/types.ts";
import { maxSyncBlocks } from "./limits.ts";
import type { Outbox } from "./outbox.ts";
import type { ReplicaSettings } from "./settings.ts";

/** How a late replica gets the blocks it lacks: from one peer at a time, each block with its proof. */
export class CatchUp {
  readonly #ledger: Ledger;
  readonly #outbox: Outbox;
  readonly #settings: ReplicaSettings;
  /** Heads above this replica's that peers have told of; who was asked last is last. */
  readonly #heights = new Map<number, number>();
  /** Answers in a row that did not come or were of no use. A peer that claims much and gives nothing comes after all others. */
  readonly #failures = new Map<number, number>();
  #asked: number | undefined;

  constructor(ledger: Ledger, outbox: Outbox, settings: ReplicaSettings) {
    this.#ledger = ledger;
    this.#outbox = outbox;
    this.#settings = settings;
  }

  /** A peer's head is at this height at least. */
  heard(peer: number, height: number): void {
    const ahead = height - this.#ledger.height;
    if (ahead <= 0) return;
    this.#heights.set(peer, Math.max(height, this.#heights.get(peer) ?? 0));
    if (this.#asked !== undefined) {
      // Who has failed before is not waited for when there is a better one.
      if (this.#failuresOf(this.#asked) > this.#failuresOf(peer)) this.#ask();
      return;
    }
    // The votes for a single block may just be on their way.
    if (ahead > 1) this.#ask();
    else if (!this.#outbox.isRunning("sync")) this.#outbox.setTimer("sync", this.#settings.resendMs / 2);
  }

  onTimer(): void {
    if (this.#asked !== undefined) this.#failed(this.#asked);
    this.#ask();
  }

  /**
   * Blocks that a peer sends; unasked ones are left alone.
   *
   * @param accept - Checks a block that follows the head and appends it; throws {@link LedgerError} when it is no such block.
   * @returns What an honest peer would not have done.
   */
  answered(peer: number, blocks: readonly FinalBlock[], accept: (block: FinalBlock) => void): string | undefined {
    if (this.#asked !== peer) return undefined;
    const before = this.#ledger.height;
    let problem: string | undefined;
    for (const block of blocks) {
      if (block.header.height <= this.#ledger.height) continue;
      try {
        accept(block);
      } catch (error) {
        if (!(error instanceof LedgerError)) throw error;
        problem = `sent a bad block: ${error.message}`;
        break;
      }
    }
    if (problem !== undefined || this.#ledger.height === before) this.#failed(peer);
    else this.#served(peer);
    this.#ask();
    return problem;
  }

  #failed(peer: number): void {
    this.#heights.delete(peer);
    this.#failures.set(peer, this.#failuresOf(peer) + 1);
  }

  /** The others come next: one that gives a block at a time, each as late as it may, costs its turns and no more. */
  #served(peer: number): void {
    this.#failures.delete(peer);
    const height = this.#heights.get(peer);
    if (height === undefined) return;
    this.#heights.delete(peer);
    this.#heights.set(peer, height);
  }

  #failuresOf(peer: number): number {
    return this.#failures.get(peer) ?? 0;
  }

  #ask(): void {
    this.#asked = undefined;
    this.#outbox.clearTimer("sync");
    let best: number | undefined;
    for (const [peer, height] of this.#heights) {
      if (height <= this.#ledger.height) this.#heights.delete(peer);
      else if (best === undefined || this.#failuresOf(peer) < this.#failuresOf(best)) best = peer;
    }
    if (best === undefined) return;
    this.#asked = best;
    const fromHeight = this.#ledger.height + 1;
    this.#outbox.send(best, { kind: "block-request", fromHeight, count: maxSyncBlocks });
    this.#outbox.setTimer("sync", this.#settings.syncTimeoutMs);
  }
}
