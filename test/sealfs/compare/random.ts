/** A seeded source of choices (mulberry32): the same seed gives the same sequence on every machine. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 32 random bits. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor((this.next() / 2 ** 32) * limit);
  }

  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }

  pick<T>(choices: readonly [T, ...T[]]): T {
    return choices[this.below(choices.length)] ?? choices[0];
  }
}

/** Bytes that tell which write they come from, and where in it they lie. */
export function patternBytes(mark: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const random = new Random(mark);
  let at = 0;
  for (; at + 4 <= length; at += 4) bytes.writeUInt32LE(random.next(), at);
  for (; at < length; at += 1) bytes[at] = random.next() & 255;
  return bytes;
}
