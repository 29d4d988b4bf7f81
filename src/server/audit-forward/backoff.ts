const firstMs = 500;
const mostMs = 60_000;

/** Waiting times between attempts: each the double of the one before, up to a minute, shortened at random by up to half. */
export class Backoff {
  readonly #random: () => number;
  #failures = 0;

  /** @param random - From 0 up to 1. */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** Failures since the last success. */
  get failures(): number {
    return this.#failures;
  }

  reset(): void {
    this.#failures = 0;
  }

  /** Counts a failure; milliseconds to wait for the next attempt. */
  next(): number {
    const fullMs = Math.min(mostMs, firstMs * 2 ** Math.min(this.#failures, 20));
    this.#failures += 1;
    return Math.round(fullMs * (1 - this.#random() / 2));
  }
}
