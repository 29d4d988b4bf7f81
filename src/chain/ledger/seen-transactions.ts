import type { Transaction } from "./types.ts";

/** How many blocks a transaction may wait, and so how far back its repetition must be noticed. */
export const blockLimitRange = 600;

/**
 * The transactions of the last `blockLimitRange` blocks by their hashes. A transaction may stand only in blocks up to its
 * block limit, which is at most that far above the head, so an older one can't come again.
 */
export class SeenTransactions {
  readonly #heights = new Map<string, number>();
  readonly #byHeight = new Map<number, readonly string[]>();

  has(transaction: Transaction): boolean {
    return this.#heights.has(transaction.hash.toString("latin1"));
  }

  /** Adds a block's transactions and forgets those of the block that is now too far back. */
  add(height: number, transactions: readonly Transaction[]): void {
    const names = transactions.map((transaction) => transaction.hash.toString("latin1"));
    for (const name of names) this.#heights.set(name, height);
    this.#byHeight.set(height, names);
    const old = height - blockLimitRange;
    for (const name of this.#byHeight.get(old) ?? []) this.#heights.delete(name);
    this.#byHeight.delete(old);
  }
}
