/**
 * The sequences of entries: of two entries with one name the one made later has the higher. They are the microseconds since 1970,
 * or one above the highest seen where the clock stands still or was set back: so a new entry is above those that were removed in
 * earlier sessions as well, of which nothing is left to compare with.
 */
export class Sequences {
  #highest = 0n;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  /** Above all that was given or seen. */
  next(): bigint {
    const now = BigInt(this.#nowMs()) * 1000n;
    this.#highest = now > this.#highest ? now : this.#highest + 1n;
    return this.#highest;
  }

  /** Of an entry that was verified. */
  seen(sequence: bigint): void {
    if (sequence > this.#highest) this.#highest = sequence;
  }
}
