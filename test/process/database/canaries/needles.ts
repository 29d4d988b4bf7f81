/** Many short byte strings, looked for in one pass. */
export interface Needle {
  readonly what: string;
  readonly as: string;
  readonly bytes: Buffer;
}

const pairs = 65_536;
const pageBytes = 4096;
const zeroPage = Buffer.alloc(pageBytes);

/** Needles by their first two bytes, beside a set of the pairs that any of them has there and behind. */
export class Needles {
  readonly #byPair = new Map<number, Needle[]>();
  /** 1: a needle begins with the pair; 2: one goes on with it. */
  readonly #marks = new Uint8Array(pairs);

  /** @param needles - Of four bytes or more. */
  constructor(needles: readonly Needle[]) {
    for (const needle of needles) {
      const [first, second] = [needle.bytes.readUInt16BE(0), needle.bytes.readUInt16BE(2)];
      this.#marks[first] = (this.#marks[first] ?? 0) | 1;
      this.#marks[second] = (this.#marks[second] ?? 0) | 2;
      this.#byPair.set(first, [...(this.#byPair.get(first) ?? []), needle]);
    }
  }

  /** Those that are found, each once. */
  in(given: Buffer): readonly Needle[] {
    const found = new Set<Needle>();
    const bytes = withoutEmptyPages(given);
    const marks = this.#marks;
    for (let at = 0; at + 4 <= bytes.length; at++) {
      const first = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
      if (((marks[first] ?? 0) & 1) === 0) continue;
      const second = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
      if (((marks[second] ?? 0) & 2) === 0) continue;
      for (const needle of this.#byPair.get(first) ?? [])
        if (bytes.subarray(at, at + needle.bytes.length).equals(needle.bytes)) found.add(needle);
    }
    return [...found];
  }
}

/** Databases set aside files that are mostly zeros. One page of a run of them stays, so that nothing is joined. */
export function withoutEmptyPages(bytes: Buffer): Buffer {
  const kept: Buffer[] = [];
  let wasEmpty = false;
  for (let at = 0; at < bytes.length; at += pageBytes) {
    const page = bytes.subarray(at, at + pageBytes);
    const isEmpty = page.equals(zeroPage);
    if (!isEmpty || !wasEmpty) kept.push(page);
    wasEmpty = isEmpty;
  }
  return kept.length * pageBytes < bytes.length / 2 ? Buffer.concat(kept) : bytes;
}
