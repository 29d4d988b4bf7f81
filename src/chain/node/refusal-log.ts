import type { Log } from "./log.ts";

const linesPerWindow = 10;
const windowMs = 60_000;

/** Refused connections in the log: ten lines a minute, and how many there were beside them. Strangers must not fill the disk. */
export class RefusalLog {
  readonly #log: Log;
  readonly #clock: () => number;
  #windowBeganMs: number;
  #lines = 0;

  /** @param clock - Monotonic milliseconds. */
  constructor(log: Log, clock: () => number = () => performance.now()) {
    this.#log = log;
    this.#clock = clock;
    this.#windowBeganMs = clock();
  }

  add(from: string, reason: Error): void {
    const nowMs = this.#clock();
    if (nowMs - this.#windowBeganMs >= windowMs) {
      const unsaid = this.#lines - linesPerWindow;
      if (unsaid > 0) this.#log.write("warning", `[P2PService][Service]refused,and ${unsaid} more`);
      this.#windowBeganMs = nowMs;
      this.#lines = 0;
    }
    this.#lines += 1;
    if (this.#lines <= linesPerWindow)
      this.#log.write("warning", `[P2PService][Service]refused,from=${from}: ${reason.message}`);
  }
}
