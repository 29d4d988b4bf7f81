/**
 * Pauses between starts: each twice as long as the one before, up to the longest, and half of each random, so that nodes
 * that were refused together do not ask again together.
 */
export class Backoff {
  readonly #firstMs: number;
  readonly #longestMs: number;
  readonly #random: () => number;
  #nextMs: number;

  /** `random` gives numbers from 0 (inclusive) to 1 (exclusive). */
  constructor(firstMs: number, longestMs: number, random: () => number = Math.random) {
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
    this.#random = random;
    this.#nextMs = Math.min(firstMs, longestMs);
  }

  /** The next pause in milliseconds: from half of its longest to its longest. */
  next(): number {
    const mostMs = this.#nextMs;
    this.#nextMs = Math.min(mostMs * 2, this.#longestMs);
    return Math.round(mostMs / 2 + (this.#random() * mostMs) / 2);
  }

  /** Begins anew, after a start that has lasted. */
  reset(): void {
    this.#nextMs = Math.min(this.#firstMs, this.#longestMs);
  }
}
