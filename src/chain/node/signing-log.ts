import type { Log } from "./log.ts";

const summaryMs = 60_000;
const maxReasons = 8;

/**
 * Failed signatures in the log by change of state: a first one at once, each further reason once, then their number once a minute,
 * and the first signature after them. A machine that is away for a night is asked thousands of times.
 */
export class SigningLog {
  readonly #log: Log;
  readonly #clock: () => number;
  #failures = 0;
  #saidFailures = 0;
  #sinceMs = 0;
  #saidAtMs = 0;
  readonly #reasons = new Set<string>();

  /** @param clock - Monotonic milliseconds. */
  constructor(log: Log, clock: () => number = () => performance.now()) {
    this.#log = log;
    this.#clock = clock;
  }

  failed(error: unknown): void {
    const reason = error instanceof Error ? error.message : "failed";
    const nowMs = this.#clock();
    if (this.#failures === 0) {
      this.#sinceMs = nowMs;
      this.#saidAtMs = nowMs;
    }
    this.#failures += 1;
    if (!this.#reasons.has(reason) && this.#reasons.size < maxReasons) {
      this.#reasons.add(reason);
      this.#log.write("error", `[SIGN]${reason}`);
      this.#saidFailures += 1;
    } else if (nowMs - this.#saidAtMs >= summaryMs) {
      const more = this.#failures - this.#saidFailures;
      this.#log.write(
        "error",
        `[SIGN]and ${more} more signatures failed in ${this.#seconds(nowMs)} s, last: ${reason}`,
      );
      this.#saidAtMs = nowMs;
    }
  }

  succeeded(): void {
    if (this.#failures === 0) return;
    const failed = `${this.#failures} failed in ${this.#seconds(this.#clock())} s`;
    this.#log.write("info", `[SIGN]signs again, after ${failed}`);
    this.#failures = 0;
    this.#saidFailures = 0;
    this.#reasons.clear();
  }

  #seconds(nowMs: number): number {
    return Math.round((nowMs - this.#sinceMs) / 1000);
  }
}
