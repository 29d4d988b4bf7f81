const firstWords = 4;
/** Most files never free a slot. */
const noWords = new Uint32Array(0);

/** A set of small whole numbers, one bit each, that grows with its largest member. */
export class Bitmap {
  #words = noWords;
  #count = 0;

  /** How many members. */
  get count(): number {
    return this.#count;
  }

  has(member: number): boolean {
    const word = Math.floor(member / 32);
    return word < this.#words.length && ((this.#words[word] as number) & (1 << (member & 31))) !== 0;
  }

  /** @returns False when it was in already. */
  add(member: number): boolean {
    const word = Math.floor(member / 32);
    if (word >= this.#words.length) this.#grow(word + 1);
    const before = this.#words[word] as number;
    const bit = 1 << (member & 31);
    if ((before & bit) !== 0) return false;
    this.#words[word] = before | bit;
    this.#count += 1;
    return true;
  }

  /** @returns False when it was not in. */
  delete(member: number): boolean {
    if (!this.has(member)) return false;
    const word = Math.floor(member / 32);
    this.#words[word] = (this.#words[word] as number) & ~(1 << (member & 31));
    this.#count -= 1;
    return true;
  }

  /** The least member from `from` on, or undefined. */
  next(from: number): number | undefined {
    let word = Math.floor(from / 32);
    if (word >= this.#words.length) return undefined;
    let bits = (this.#words[word] as number) & (-1 << (from & 31));
    while (bits === 0) {
      word += 1;
      if (word >= this.#words.length) return undefined;
      bits = this.#words[word] as number;
    }
    return word * 32 + (31 - Math.clz32(bits & -bits));
  }

  /** The least member from `from` on that `other` does not have, or undefined. */
  nextNotIn(other: Bitmap, from: number): number | undefined {
    const mask = -1 << (from & 31);
    for (let word = Math.floor(from / 32); word < this.#words.length; word += 1) {
      let bits = (this.#words[word] as number) & ~(other.#words[word] ?? 0);
      if (word === Math.floor(from / 32)) bits &= mask;
      if (bits !== 0) return word * 32 + (31 - Math.clz32(bits & -bits));
    }
    return undefined;
  }

  /** Takes out what `other` does not have. */
  retain(other: Bitmap): void {
    for (let word = 0; word < this.#words.length; word += 1) {
      const before = this.#words[word] as number;
      const gone = before & ~(other.#words[word] ?? 0);
      if (gone === 0) continue;
      this.#words[word] = before & ~gone;
      this.#count -= bitsIn(gone);
    }
  }

  clear(): void {
    this.#words = noWords;
    this.#count = 0;
  }

  #grow(words: number): void {
    const larger = new Uint32Array(Math.max(words, this.#words.length * 2, firstWords));
    larger.set(this.#words);
    this.#words = larger;
  }
}

function bitsIn(word: number): number {
  let count = 0;
  for (let bits = word; bits !== 0; bits &= bits - 1) count += 1;
  return count;
}
