import { availableParallelism } from "node:os";

/** How long the server looks for the next request before it sleeps: a program that waits for each answer has asked again by then. */
const longestSpinMs = 0.05;
/** A request that wakes the server so soon after an answer would have been found by a spin: part of the time is the waking. */
const soonMs = 0.1;
/** So many requests in a row must have come soon before the server spins. One spin in vain ends it: where others want the cores, most are. */
const soonInARow = 8;

/**
 * Whether to look for the next request again rather than to sleep: to be woken takes longer than most requests do. Learnt from when
 * requests come, so that an idle or slow mount never spins. After each answer there is one spin at most.
 */
export class Spinning {
  readonly #isPossible: boolean;
  readonly #nowMs: () => number;
  /** Requests that came soon, one after another. */
  #soon = 0;
  /** When nothing was waiting after the last answer. */
  #beganMs: number | undefined;

  /** @param cores - With one alone the program needs it to ask. @param nowMs - A clock that never goes back. */
  constructor(cores: number = availableParallelism(), nowMs: () => number = () => performance.now()) {
    this.#isPossible = cores > 1;
    this.#nowMs = nowMs;
  }

  /** Nothing waits. @returns Whether to look again. */
  looksAgain(): boolean {
    if (!this.#isPossible) return false;
    const nowMs = this.#nowMs();
    this.#beganMs ??= nowMs;
    return this.#soon >= soonInARow && nowMs - this.#beganMs < longestSpinMs;
  }

  /** A request has come, after a spin or a sleep or neither. */
  requestCame(): void {
    if (this.#beganMs === undefined) return;
    const limitMs = this.#soon >= soonInARow ? longestSpinMs : soonMs;
    this.#soon = this.#nowMs() - this.#beganMs < limitMs ? this.#soon + 1 : 0;
    this.#beganMs = undefined;
  }
}
