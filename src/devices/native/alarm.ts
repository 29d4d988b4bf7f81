import type { Surroundings } from "./device-link.ts";

/** One timer for many deadlines: set again only for an earlier one, and by what its last run returned. */
export class Alarm {
  readonly #surroundings: Surroundings;
  readonly #run: (nowMs: number) => number | undefined;
  #atMs = Number.POSITIVE_INFINITY;
  #cancel: (() => void) | undefined;

  /** @param run - Does what is due and returns when the next thing is, or undefined. */
  constructor(surroundings: Surroundings, run: (nowMs: number) => number | undefined) {
    this.#surroundings = surroundings;
    this.#run = run;
  }

  /** Runs at `atMs` at the latest. */
  at(atMs: number): void {
    if (atMs >= this.#atMs) return;
    this.#cancel?.();
    this.#atMs = atMs;
    this.#cancel = this.#surroundings.after(Math.max(1, Math.ceil(atMs - this.#surroundings.nowMs())), () => {
      this.#atMs = Number.POSITIVE_INFINITY;
      this.#cancel = undefined;
      const nextMs = this.#run(this.#surroundings.nowMs());
      if (nextMs !== undefined) this.at(nextMs);
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#atMs = Number.POSITIVE_INFINITY;
  }
}
