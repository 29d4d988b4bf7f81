/** From how many new ids on all are sorted anew, instead of each being put in its place. */
const fewNew = 64;

/** Ids in the order of their text, kept in order while ids come and go, so that a page of them costs what it holds. */
export class SortedIds {
  #sorted: string[] = [];
  /** Not yet in order: many that come together, as at the load of a store, are sorted once. */
  readonly #new: Set<string>;

  constructor(ids: Iterable<string> = []) {
    this.#new = new Set(ids);
  }

  /** Adding an id that is there already changes nothing. */
  add(id: string): void {
    this.#new.add(id);
  }

  delete(id: string): void {
    this.#new.delete(id);
    const place = this.#placeOf(id);
    if (this.#sorted[place] === id) this.#sorted.splice(place, 1);
  }

  /** The ids behind `after` (all without it), in order. The ids must not change while they are read. */
  *behind(after?: string): Generator<string> {
    this.#settle();
    let place = after === undefined ? 0 : this.#placeOf(after);
    if (after !== undefined && this.#sorted[place] === after) place++;
    for (; place < this.#sorted.length; place++) yield this.#sorted[place] ?? "";
  }

  #settle(): void {
    if (this.#new.size > fewNew) this.#sorted = [...new Set([...this.#sorted, ...this.#new])].sort();
    else
      for (const id of this.#new) {
        const place = this.#placeOf(id);
        if (this.#sorted[place] !== id) this.#sorted.splice(place, 0, id);
      }
    this.#new.clear();
  }

  /** Where the id is, or would be. */
  #placeOf(id: string): number {
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sorted[middle] ?? "") < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** One page of a list in the order of ids. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Whether there is one after it. */
  readonly more: boolean;
}

/** Which page: at most `limit` items, of those whose ids come behind `after`. */
export interface PageInput {
  readonly after?: string;
  readonly limit: number;
}

/** @param itemOf - The item of an id; undefined passes over it. */
export function pageOfIds<T>(
  ids: SortedIds | undefined,
  { after, limit }: PageInput,
  itemOf: (id: string) => T | undefined,
): Page<T> {
  const items: T[] = [];
  for (const id of ids?.behind(after) ?? []) {
    const item = itemOf(id);
    if (item === undefined) continue;
    if (items.length === limit) return { items, more: true };
    items.push(item);
  }
  return { items, more: false };
}
