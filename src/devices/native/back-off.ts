/** Waits that double with each failure, drawn from the upper half of their span so that many callers do not come back at once. */
export class BackOff {
  readonly #firstMs: number;
  readonly #longestMs: number;
  readonly #random: () => number;
  #failures = 0;

  /** @param random - From 0 up to, but not, 1. */
  constructor(firstMs: number, longestMs: number, random: () => number) {
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
    this.#random = random;
  }

  /** How long to wait after one more failure, in milliseconds. */
  nextMs(): number {
    const spanMs = Math.min(this.#longestMs, this.#firstMs * 2 ** Math.min(this.#failures, 30));
    this.#failures += 1;
    return Math.ceil(spanMs / 2 + (this.#random() * spanMs) / 2);
  }

  succeeded(): void {
    this.#failures = 0;
  }
}
