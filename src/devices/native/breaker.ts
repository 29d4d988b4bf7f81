import type { DeviceFaultKind } from "../errors.ts";

/** Kinds that speak against the device and not against the call. */
const troubles: ReadonlySet<DeviceFaultKind> = new Set(["device", "comm", "session", "timeout"]);

/**
 * Circuit breaker: after so many troubles one after the other it refuses everything for a while, then lets a single call
 * through, whose outcome closes it or starts the wait again.
 */
export class Breaker {
  readonly #failures: number;
  readonly #coolDownMs: number;
  #inARow = 0;
  #openedAtMs: number | undefined;
  #trying = false;

  constructor(settings: { readonly breakerFailures: number; readonly breakerCoolDownMs: number }) {
    this.#failures = settings.breakerFailures;
    this.#coolDownMs = settings.breakerCoolDownMs;
  }

  get open(): boolean {
    return this.#openedAtMs !== undefined;
  }

  /** Whether a call may go on. While the breaker is open, `trial` says that this call is the one that tries. */
  admit(nowMs: number): "yes" | "trial" | "no" {
    if (this.#openedAtMs === undefined) return "yes";
    if (this.#trying || nowMs - this.#openedAtMs < this.#coolDownMs) return "no";
    this.#trying = true;
    return "trial";
  }

  /** The call that tried was never sent: another may try. */
  trialUnsent(): void {
    this.#trying = false;
  }

  /** The device answered. Returns whether that has closed the breaker. */
  answered(): boolean {
    this.#inARow = 0;
    if (this.#openedAtMs === undefined) return false;
    this.#openedAtMs = undefined;
    this.#trying = false;
    return true;
  }

  /** The device reported a fault, or did not answer. Returns whether that has opened the breaker. */
  faulted(kind: DeviceFaultKind, nowMs: number): "opened" | "closed" | "unchanged" {
    if (!troubles.has(kind)) return this.answered() ? "closed" : "unchanged";
    this.#inARow += 1;
    if (this.#openedAtMs !== undefined) {
      // Calls that were sent before it opened come back late: only the trial's failure starts the wait again.
      if (this.#trying) this.#openedAtMs = nowMs;
      this.#trying = false;
      return "unchanged";
    }
    if (this.#inARow < this.#failures) return "unchanged";
    this.#openedAtMs = nowMs;
    return "opened";
  }
}
