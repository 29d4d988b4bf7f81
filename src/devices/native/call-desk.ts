import { Breaker } from "./breaker.ts";
import { callFaults } from "./call-faults.ts";
import type { NativeDeviceEvent } from "./device-events.ts";
import type { Surroundings } from "./device-link.ts";
import { deviceErrorOf, type FaultFacts } from "./fault.ts";
import type { NativeCallOptions } from "./native-calls.ts";
import { PendingCall } from "./pending-call.ts";
import type { PoolSettings } from "./pool-settings.ts";

const mostCallBytes = 8 * 1024 * 1024;

interface DeskGround {
  readonly settings: PoolSettings;
  readonly surroundings: Surroundings;
  readonly name: string;
  readonly tell: (event: NativeDeviceEvent) => void;
}

/** Takes calls in: the bounded queue, the breaker before it, and the ways in which a call ends without being sent. */
export class CallDesk {
  /** Calls that wait for a session, the oldest first. */
  readonly queue: PendingCall[] = [];
  lastError: FaultFacts | undefined;
  readonly #ground: DeskGround;
  readonly #breaker: Breaker;
  /** Of the calls that have not ended, waiting or sent. */
  #bytes = 0;
  readonly #ended = (call: PendingCall): void => {
    this.#bytes -= call.bytes;
  };

  constructor(ground: DeskGround) {
    this.#ground = ground;
    this.#breaker = new Breaker(ground.settings);
  }

  get breakerOpen(): boolean {
    return this.#breaker.open;
  }

  /**
   * Puts a call into the queue.
   *
   * @param queued - Sends what can be sent; what it leaves waits until the call's `waitsUntilMs`.
   */
  take(
    operation: string,
    args: readonly Buffer[],
    options: NativeCallOptions,
    queued: (call: PendingCall) => void,
  ): Promise<readonly Buffer[]> {
    const { settings, surroundings, name } = this.#ground;
    const { signal } = options;
    let bytes = 0;
    for (const argument of args) bytes += argument.length;
    const refusal = this.#refusal(bytes, signal);
    if (refusal !== undefined) return Promise.reject(deviceErrorOf(refusal));
    const nowMs = surroundings.nowMs();
    const admission = this.#breaker.admit(nowMs);
    if (admission === "no") return Promise.reject(deviceErrorOf(callFaults.breakerOpen(name, this.lastError)));
    return new Promise((resolve, reject) => {
      const call = new PendingCall(
        {
          operation,
          args,
          deadlineMs: options.deadlineMs ?? settings.callDeadlineMs,
          repeatable: options.repeatable ?? false,
          trial: admission === "trial",
          waitsUntilMs: nowMs + settings.acquireTimeoutMs,
          bytes,
        },
        this.#ended,
        resolve,
        reject,
      );
      this.#bytes += bytes;
      if (signal !== undefined) call.listenTo(signal, () => this.#aborted(call));
      this.queue.push(call);
      queued(call);
    });
  }

  answered(call: PendingCall, answers: readonly Buffer[]): void {
    if (this.#breaker.answered()) this.#ground.tell({ event: "breaker-closed" });
    call.answer(answers);
  }

  /** Takes note of a fault; closes the way to the device after too many. */
  heard(fault: FaultFacts): void {
    this.lastError = fault;
    if (fault.follows === true) return;
    const { surroundings, name, tell } = this.#ground;
    const change = this.#breaker.faulted(fault.kind, surroundings.nowMs());
    if (change === "closed") tell({ event: "breaker-closed" });
    if (change !== "opened") return;
    tell({ event: "breaker-opened", fault });
    this.rejectAll(() => deviceErrorOf(callFaults.breakerOpen(name, fault)));
  }

  /** A call ends without having reached the library. */
  unsent(call: PendingCall): void {
    if (call.trial) this.#breaker.trialUnsent();
  }

  rejectAll(error: () => Error): void {
    for (const call of this.queue.splice(0)) {
      this.unsent(call);
      call.failWith(error);
    }
  }

  /** Ends the wait of calls that waited too long. Returns when the next one will have, or undefined. */
  sweep(nowMs: number): number | undefined {
    const { name, settings } = this.#ground;
    for (const call of this.queue.filter(({ waitsUntilMs }) => waitsUntilMs <= nowMs)) {
      this.queue.splice(this.queue.indexOf(call), 1);
      this.unsent(call);
      call.fail(callFaults.noSession(name, settings.acquireTimeoutMs, this.lastError));
    }
    let nextMs: number | undefined;
    for (const { waitsUntilMs } of this.queue) nextMs = Math.min(nextMs ?? waitsUntilMs, waitsUntilMs);
    return nextMs;
  }

  #refusal(bytes: number, signal: AbortSignal | undefined): FaultFacts | undefined {
    const { name, settings } = this.#ground;
    if (signal?.aborted === true) return callFaults.aborted(name, false);
    if (bytes > mostCallBytes) return callFaults.tooLarge(name, bytes, mostCallBytes);
    if (this.queue.length >= settings.queueCalls) return callFaults.queueFull(name, this.queue.length);
    if (this.#bytes + bytes > settings.queueBytes) return callFaults.bytesFull(name, this.#bytes);
    return undefined;
  }

  #aborted(call: PendingCall): void {
    const at = this.queue.indexOf(call);
    if (at >= 0) {
      this.queue.splice(at, 1);
      this.unsent(call);
    }
    call.fail(callFaults.aborted(this.#ground.name, at < 0));
  }
}
