/**
 * Lets user writes run side by side, and a rotation step alone: a step that reads entries and writes them back sealed
 * under another key must not run over a value written meanwhile.
 */
export class WriteGate {
  #writing = 0;
  #drained: (() => void) | undefined;
  #shut: Promise<void> | undefined;

  /** Defined while a step has the gate: the promise settles when it opens again, and must then be asked for anew. */
  get shut(): Promise<void> | undefined {
    return this.#shut;
  }

  /** Counts a write in; only while {@link shut} is undefined. */
  enter(): void {
    this.#writing += 1;
  }

  leave(): void {
    this.#writing -= 1;
    if (this.#writing === 0) this.#drained?.();
  }

  /** Runs `step` after every write under way has ended, and holds back new ones until it has settled. One at a time. */
  async alone<T>(step: () => Promise<T>): Promise<T> {
    while (this.#shut !== undefined) await this.#shut;
    const opened = Promise.withResolvers<void>();
    this.#shut = opened.promise;
    try {
      if (this.#writing > 0) {
        const drained = Promise.withResolvers<void>();
        this.#drained = drained.resolve;
        await drained.promise;
        this.#drained = undefined;
      }
      return await step();
    } finally {
      this.#shut = undefined;
      opened.resolve();
    }
  }
}
