/** How much a peer may send: a burst, and a steady rate after it. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** A token bucket: full at the start, refilled steadily, never over its burst. */
export class RateLimit {
  readonly #rate: Rate;
  #tokens: number;
  #refilledAtMs: number;

  /** @param nowMs - A monotonic time in milliseconds, as are those of {@link take}. */
  constructor(rate: Rate, nowMs: number) {
    if (!(rate.perSecond > 0) || !(rate.burst > 0)) throw new RangeError("a rate and its burst are over 0");
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#refilledAtMs = nowMs;
  }

  /** Takes `tokens` if they are there; false (and nothing taken) when the limit is reached. */
  take(tokens: number, nowMs: number): boolean {
    const passedMs = Math.max(0, nowMs - this.#refilledAtMs);
    this.#refilledAtMs = Math.max(nowMs, this.#refilledAtMs);
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + (passedMs / 1000) * this.#rate.perSecond);
    if (tokens > this.#tokens) return false;
    this.#tokens -= tokens;
    return true;
  }
}
