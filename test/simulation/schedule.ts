/** Virtual time: what is to happen, in order; at one time, in the order in which it was asked for. */
export class Schedule {
  readonly #heap: { readonly atMs: number; readonly order: number; readonly happen: () => void | Promise<void> }[] = [];
  #order = 0;
  nowMs: number;

  constructor(nowMs: number) {
    this.nowMs = nowMs;
  }

  after(delayMs: number, happen: () => void | Promise<void>): void {
    const entry = { atMs: this.nowMs + delayMs, order: this.#order++, happen };
    const heap = this.#heap;
    heap.push(entry);
    for (let at = heap.length - 1; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  /** Lets everything happen until `done` says so or the time is over; returns whether it was done. */
  async run(untilMs: number, done: () => boolean): Promise<boolean> {
    while (!done()) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > untilMs) {
        this.nowMs = untilMs;
        return false;
      }
      this.#removeFirst();
      this.nowMs = next.atMs;
      const waited = next.happen();
      if (waited !== undefined) await waited;
    }
    return true;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    heap[0] = last;
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < heap.length && this.#isBefore(child, least)) least = child;
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #isBefore(one: number, other: number): boolean {
    const [a, b] = [this.#heap[one], this.#heap[other]];
    if (a === undefined || b === undefined) return false;
    return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  }

  #swap(one: number, other: number): void {
    const [a, b] = [this.#heap[one], this.#heap[other]];
    if (a === undefined || b === undefined) return;
    this.#heap[one] = b;
    this.#heap[other] = a;
  }
}
