/** Counts how often something happened within a sliding window. */
export class RestartLimit {
  readonly #most: number;
  readonly #windowMs: number;
  #timesMs: number[] = [];

  constructor(settings: { readonly restarts: number; readonly restartWindowMs: number }) {
    this.#most = settings.restarts;
    this.#windowMs = settings.restartWindowMs;
  }

  /** Counts one more. Returns false when that is more than is allowed within the window. */
  admit(nowMs: number): boolean {
    this.#timesMs = this.#timesMs.filter((timeMs) => nowMs - timeMs < this.#windowMs);
    this.#timesMs.push(nowMs);
    return this.#timesMs.length <= this.#most;
  }
}
