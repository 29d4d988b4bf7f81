/** Of each of the two halves. */
const defaultHalf = 512;

/**
 * What was made of public keys, for those that come again: accounts send more than one transaction. Keys that have not come for a
 * while fall out, half of all at once.
 */
export class KnownKeys<Made> {
  readonly #half: number;
  #young = new Map<string, Made>();
  #old: ReadonlyMap<string, Made> = new Map();

  /** @param half - It keeps the last `half` keys at least, and twice as many at most. @defaultValue 512 */
  constructor(half: number = defaultHalf) {
    this.#half = half;
  }

  get size(): number {
    return this.#young.size + [...this.#old.keys()].filter((name) => !this.#young.has(name)).length;
  }

  get(publicKey: Buffer): Made | undefined {
    const name = publicKey.toString("latin1");
    const young = this.#young.get(name);
    if (young !== undefined) return young;
    const old = this.#old.get(name);
    if (old !== undefined) this.#keep(name, old);
    return old;
  }

  keep(publicKey: Buffer, made: Made): void {
    this.#keep(publicKey.toString("latin1"), made);
  }

  #keep(name: string, made: Made): void {
    if (this.#young.has(name)) return;
    if (this.#young.size >= this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(name, made);
  }
}
