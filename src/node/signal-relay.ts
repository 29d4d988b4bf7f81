import type { Program } from "./program.ts";

const passedOn = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"] as const;
const stopSignals: readonly string[] = ["SIGINT", "SIGQUIT", "SIGTERM"];

/**
 * Passes the signals that this process gets to the program it supervises. A signal that asks to stop also ends restarts,
 * and one that comes before the program runs keeps it from being started.
 */
export class SignalRelay implements Disposable {
  readonly #stopping = new AbortController();
  #program: Program | undefined;
  readonly #handle = (signal: NodeJS.Signals): void => {
    if (stopSignals.includes(signal)) this.#stopping.abort();
    this.#program?.signal(signal);
  };

  constructor() {
    for (const signal of passedOn) process.on(signal, this.#handle);
  }

  /** Aborted once we were asked to stop. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** From now on signals go to this program, until it has ended. */
  passTo(program: Program): void {
    this.#program = program;
    const forget = () => {
      if (this.#program === program) this.#program = undefined;
    };
    program.ended.then(forget, forget);
  }

  [Symbol.dispose](): void {
    for (const signal of passedOn) process.off(signal, this.#handle);
  }
}
