/** A map of bounded size: what was set longest ago goes first. */
export class RecentMap<T> {
  readonly #most: number;
  readonly #map: Map<string, T>;

  constructor(most: number, entries: Iterable<readonly [string, T]> = []) {
    this.#most = most;
    this.#map = new Map(entries);
  }

  get(name: string): T | undefined {
    return this.#map.get(name);
  }

  set(name: string, value: T): void {
    this.#map.delete(name);
    this.#map.set(name, value);
    if (this.#map.size <= this.#most) return;
    const oldest = this.#map.keys().next();
    if (!oldest.done) this.#map.delete(oldest.value);
  }

  /** In the order in which they were set. */
  entries(): readonly (readonly [string, T])[] {
    return [...this.#map];
  }
}
