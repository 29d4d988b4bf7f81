import { CryptoError } from "./errors.ts";

/** Runs at most so many pieces of work at once; the others wait in the order they came, as many as may. */
export class InTurn {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  readonly #maxWaiting: number;

  /** @param maxWaiting - How many may wait at once. @defaultValue no limit */
  constructor(atOnce: number, maxWaiting = Number.POSITIVE_INFINITY) {
    this.#free = atOnce;
    this.#maxWaiting = maxWaiting;
  }

  /** @throws {CryptoError} `BUSY` when as many wait already as may; else what the work throws. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else if (this.#waiting.length >= this.#maxWaiting) throw new CryptoError("BUSY");
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
