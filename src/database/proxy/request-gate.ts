/** Lets requests wait while influxd is away for a moment, and tells when those that were let in are done. */
export class RequestGate {
  readonly #running = new Set<Promise<unknown>>();
  readonly #waitMs: number;
  #shut: PromiseWithResolvers<void> | undefined;

  /** @param waitMs - How long a request waits for the gate to open. */
  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  /** Runs `work` when the gate is open. @returns False when it stayed shut for too long: nothing was run then. */
  async pass(work: () => Promise<void>): Promise<boolean> {
    if (this.#shut !== undefined && !(await this.#opens())) return false;
    const running = work();
    this.#running.add(running);
    try {
      await running;
    } finally {
      this.#running.delete(running);
    }
    return true;
  }

  /** From now on requests wait. Resolves when those that run are done, or after `mostMs`. */
  async shut(mostMs: number): Promise<void> {
    this.#shut ??= Promise.withResolvers();
    const { promise, resolve } = Promise.withResolvers<void>();
    const late = setTimeout(resolve, mostMs);
    await Promise.race([Promise.allSettled(this.#running), promise]);
    clearTimeout(late);
  }

  open(): void {
    this.#shut?.resolve();
    this.#shut = undefined;
  }

  async #opens(): Promise<boolean> {
    const late = Promise.withResolvers<"late">();
    const timer = setTimeout(() => late.resolve("late"), this.#waitMs);
    try {
      // It may be shut again before this runs on.
      while (this.#shut !== undefined)
        if ((await Promise.race([this.#shut.promise, late.promise])) === "late") return false;
      return true;
    } finally {
      clearTimeout(timer);
    }
  }
}
