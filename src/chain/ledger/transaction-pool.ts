import { maxBlockBytes, maxBlockTransactions } from "./block.ts";
import type { Ledger } from "./ledger.ts";
import { isSignedBySender } from "./transaction.ts";
import type { Transaction } from "./types.ts";

export const maxPoolTransactions = 20_000;
export const maxPoolBytes = 32 * 1024 * 1024;

export type PoolAnswer =
  | { readonly kind: "added" | "known" }
  /** `unfit`: not for the next block; an honest peer with another head may think otherwise. `forged`: no honest peer sends it. */
  | { readonly kind: "refused"; readonly cause: "full" | "unfit" | "forged"; readonly reason: string };

/** Transactions that wait for a block, in the order of their arrival. Each has a signature that was checked when it came. */
export class TransactionPool {
  readonly #ledger: Ledger;
  readonly #waiting = new Map<string, Transaction>();
  #bytes = 0;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Checks a transaction against the head and its signature, and keeps it. */
  add(transaction: Transaction): PoolAnswer {
    const name = nameOf(transaction);
    if (this.#waiting.has(name)) return { kind: "known" };
    const reason = this.#ledger.refusalOf(transaction);
    if (reason !== undefined) return { kind: "refused", cause: "unfit", reason };
    if (this.#waiting.size >= maxPoolTransactions || this.#bytes + transaction.encoded.length > maxPoolBytes)
      return { kind: "refused", cause: "full", reason: "too many transactions wait for a block: try again later" };
    if (!this.#isSigned(transaction))
      return { kind: "refused", cause: "forged", reason: "its signature is not its sender's" };
    this.#waiting.set(name, transaction);
    this.#bytes += transaction.encoded.length;
    return { kind: "added" };
  }

  /** Whether the signature is good. One that waits here was checked when it came, to the byte. */
  signed(transaction: Transaction): boolean {
    const waiting = this.#waiting.get(nameOf(transaction));
    return waiting?.encoded.equals(transaction.encoded) === true || this.#isSigned(transaction);
  }

  has(transaction: Transaction): boolean {
    return this.#waiting.has(nameOf(transaction));
  }

  /** The oldest that the next block can hold, as many as fit. */
  next(count: number): Transaction[] {
    const chosen: Transaction[] = [];
    let bytes = 0;
    for (const transaction of this.#waiting.values()) {
      if (chosen.length >= Math.min(count, maxBlockTransactions)) break;
      if (this.#ledger.refusalOf(transaction) !== undefined) continue;
      bytes += transaction.encoded.length;
      if (bytes > maxBlockBytes) break;
      chosen.push(transaction);
    }
    return chosen;
  }

  /** Takes out what a new block holds, and what has become too old by it. */
  settle(included: readonly Transaction[]): void {
    for (const transaction of included) this.#remove(transaction);
    for (const transaction of this.#waiting.values())
      if (transaction.blockLimit <= this.#ledger.height) this.#remove(transaction);
  }

  #remove(transaction: Transaction): void {
    const name = nameOf(transaction);
    const waiting = this.#waiting.get(name);
    if (waiting === undefined) return;
    this.#waiting.delete(name);
    this.#bytes -= waiting.encoded.length;
  }

  #isSigned(transaction: Transaction): boolean {
    return isSignedBySender(this.#ledger.chain.suite, transaction);
  }
}

function nameOf(transaction: Transaction): string {
  return transaction.hash.toString("latin1");
}
