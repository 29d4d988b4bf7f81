import type { Surroundings } from "./device-link.ts";

/** Timers that can all be called off together. */
export class Timers {
  readonly #surroundings: Surroundings;
  readonly #cancels = new Set<() => void>();

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  /** Runs once; the function that comes back calls it off. */
  after(milliseconds: number, run: () => void): () => void {
    const cancel = this.#surroundings.after(milliseconds, () => {
      this.#cancels.delete(cancel);
      run();
    });
    this.#cancels.add(cancel);
    return () => {
      this.#cancels.delete(cancel);
      cancel();
    };
  }

  stop(): void {
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
  }
}
