import type { ReplicaEffect, TimerName } from "./events.ts";
import { encodeMessage } from "./message-encoding.ts";
import type { Message } from "./messages.ts";

/** Gathers a replica's effects in their order, and knows which timers run. */
export class Outbox {
  #effects: ReplicaEffect[] = [];
  readonly #running = new Map<TimerName, number>();
  #lastToken = 0;

  add(effect: ReplicaEffect): void {
    this.#effects.push(effect);
  }

  send(to: number | "all", message: Message): void {
    this.add({ kind: "send", to, bytes: encodeMessage(message) });
  }

  /** Starts the timer anew. */
  setTimer(name: TimerName, delayMs: number): void {
    this.#lastToken += 1;
    this.#running.set(name, this.#lastToken);
    this.add({ kind: "set-timer", name, token: this.#lastToken, delayMs });
  }

  clearTimer(name: TimerName): void {
    if (this.#running.delete(name)) this.add({ kind: "clear-timer", name });
  }

  isRunning(name: TimerName): boolean {
    return this.#running.has(name);
  }

  /** True when it is the timer that runs; it is then over. */
  hasFired(name: TimerName, token: number): boolean {
    return this.#running.get(name) === token && this.#running.delete(name);
  }

  /** All effects since the last call. */
  take(): readonly ReplicaEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}
