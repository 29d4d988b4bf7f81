import type { FaultFacts } from "./fault.ts";
import { deviceErrorOf } from "./fault.ts";

/** One call from when it is made until its promise settles. */
export class PendingCall {
  readonly operation: string;
  readonly args: readonly Buffer[];
  readonly deadlineMs: number;
  readonly repeatable: boolean;
  /** It is let through an open breaker to try the device. */
  readonly trial: boolean;
  /** Until when it waits for a session, in the device's milliseconds. */
  readonly waitsUntilMs: number;
  /** Times it may have reached the library. */
  attempts = 0;
  settled = false;
  /** Of its arguments. */
  readonly bytes: number;
  readonly #resolve: (answers: readonly Buffer[]) => void;
  readonly #reject: (error: Error) => void;
  #forgetSignal: (() => void) | undefined;
  readonly #ended: (call: PendingCall) => void;

  /** @param ended - Told once, when the call's promise has settled. */
  constructor(
    what: Pick<PendingCall, "operation" | "args" | "deadlineMs" | "repeatable" | "trial" | "waitsUntilMs" | "bytes">,
    ended: (call: PendingCall) => void,
    resolve: (answers: readonly Buffer[]) => void,
    reject: (error: Error) => void,
  ) {
    this.operation = what.operation;
    this.args = what.args;
    this.deadlineMs = what.deadlineMs;
    this.repeatable = what.repeatable;
    this.trial = what.trial;
    this.waitsUntilMs = what.waitsUntilMs;
    this.bytes = what.bytes;
    this.#ended = ended;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Has `aborted` run when the signal fires before the call settles. */
  listenTo(signal: AbortSignal, aborted: () => void): void {
    signal.addEventListener("abort", aborted, { once: true });
    this.#forgetSignal = () => signal.removeEventListener("abort", aborted);
  }

  answer(answers: readonly Buffer[]): void {
    if (this.#settle()) this.#resolve(answers);
    else for (const answer of answers) answer.fill(0);
  }

  fail(fault: FaultFacts): void {
    this.failWith(() => deviceErrorOf(fault));
  }

  failWith(error: () => Error): void {
    if (this.#settle()) this.#reject(error());
  }

  #settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    this.#forgetSignal?.();
    this.#ended(this);
    return true;
  }
}
