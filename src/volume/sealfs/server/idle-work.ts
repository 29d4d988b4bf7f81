interface Work {
  readonly run: () => number | undefined;
  dueAtMs: number | undefined;
}

/** Work that failed is tried again after so long; the others go on. */
const failedDelayMs = 10_000;

/** Several kinds of work between requests, each at its own times. */
export class IdleWork {
  readonly #works: Work[] = [];

  /**
   * @param run - Returns after how many milliseconds to be called again; undefined: when something else has happened.
   * @returns Makes it due at once.
   */
  add(run: () => number | undefined): () => void {
    const work: Work = { run, dueAtMs: undefined };
    this.#works.push(work);
    return () => {
      work.dueAtMs = undefined;
    };
  }

  /**
   * Does what is due.
   *
   * @returns After how many milliseconds to call again; undefined: when something else has happened.
   * @throws The first failure, after all that was due has been done.
   */
  run(): number | undefined {
    let nextMs = Number.POSITIVE_INFINITY;
    let failure: { readonly cause: unknown } | undefined;
    for (const work of this.#works) {
      const nowMs = performance.now();
      if (work.dueAtMs === undefined || nowMs >= work.dueAtMs) {
        let delayMs: number | undefined = failedDelayMs;
        try {
          delayMs = work.run();
        } catch (cause) {
          failure ??= { cause };
        }
        work.dueAtMs = delayMs === undefined ? undefined : performance.now() + delayMs;
      }
      nextMs = Math.min(nextMs, work.dueAtMs ?? nextMs);
    }
    if (failure !== undefined) throw failure.cause;
    return Number.isFinite(nextMs) ? Math.max(0, nextMs - performance.now()) : undefined;
  }
}
