interface Entry<T> {
  readonly name: string;
  readonly value: T;
  older: Entry<T> | undefined;
  newer: Entry<T> | undefined;
}

/**
 * Values by name, in the order of their last use. A use moves links and allocates nothing: taking a name out of a Map and
 * putting it in again, at every request, leaves a chain of tables that only a collection of the whole heap ends.
 */
export class ByLastUse<T> {
  readonly #entries = new Map<string, Entry<T>>();
  #oldest: Entry<T> | undefined;
  #newest: Entry<T> | undefined;

  get size(): number {
    return this.#entries.size;
  }

  /** The value of a name, which is used by this; undefined for a name that is not there. */
  use(name: string): T | undefined {
    const entry = this.#entries.get(name);
    if (entry !== undefined && entry !== this.#newest) {
      this.#unlink(entry);
      this.#append(entry);
    }
    return entry?.value;
  }

  /** Puts a value in, as used just now, and in the place of one that has the name. */
  set(name: string, value: T): void {
    this.delete(name);
    const entry: Entry<T> = { name, value, older: undefined, newer: undefined };
    this.#entries.set(name, entry);
    this.#append(entry);
  }

  /** Takes a value out; undefined for a name that is not there. */
  delete(name: string): T | undefined {
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    this.#entries.delete(name);
    this.#unlink(entry);
    return entry.value;
  }

  /** Takes out the value whose last use is longest ago; undefined when there is none. */
  deleteOldest(): T | undefined {
    return this.#oldest === undefined ? undefined : this.delete(this.#oldest.name);
  }

  #unlink(entry: Entry<T>): void {
    if (entry.older === undefined) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    if (entry.newer === undefined) this.#newest = entry.older;
    else entry.newer.older = entry.older;
    entry.older = undefined;
    entry.newer = undefined;
  }

  #append(entry: Entry<T>): void {
    entry.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
  }
}
