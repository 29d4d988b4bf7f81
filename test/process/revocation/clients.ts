import { setTimeout as pause } from "node:timers/promises";

/** What became of one request. Anything else that happens rejects, and fails the test. */
export type Ending = "through" | "refused" | "unreachable";

interface Try {
  readonly startedAtMs: number;
  readonly ending: Ending;
}

const patienceMs = 120_000;

/**
 * Clients that ask again as soon as they are answered, in this process, so that the start of each request and the return
 * of a revoking call are moments of one clock that does not go back.
 */
export class Clients implements AsyncDisposable {
  readonly #tries: Try[] = [];
  readonly #loops: Promise<void>[];
  readonly #reached = new Set<number>();
  #stopped = false;

  constructor(count: number, ask: (client: number) => Promise<Ending>) {
    this.#loops = Array.from({ length: count }, (_, client) => this.#loop(() => ask(client), client));
    for (const loop of this.#loops) loop.catch(() => {});
  }

  /** Until every client has got what it asked for at least once. */
  async allThrough(): Promise<void> {
    await this.#until(() => this.#reached.size === this.#loops.length);
  }

  /** Until so many requests that started after a moment were refused. Returns all that started after it, by their ending. */
  async after(momentMs: number, refusals: number): Promise<Readonly<Record<Ending, number>>> {
    const started = () => this.#tries.filter(({ startedAtMs }) => startedAtMs > momentMs);
    const ended = (ending: Ending) => started().filter((each) => each.ending === ending).length;
    await this.#until(() => ended("refused") >= refusals);
    return { through: ended("through"), refused: ended("refused"), unreachable: ended("unreachable") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await Promise.allSettled(this.#loops);
  }

  async #loop(ask: () => Promise<Ending>, client: number): Promise<void> {
    while (!this.#stopped) {
      const startedAtMs = performance.now();
      const ending = await ask();
      this.#tries.push({ startedAtMs, ending });
      if (ending === "through") this.#reached.add(client);
      if (ending === "unreachable") await pause(20);
    }
  }

  async #until(reached: () => boolean): Promise<void> {
    const failed = Promise.race(this.#loops);
    for (const untilMs = performance.now() + patienceMs; !reached(); ) {
      if (performance.now() > untilMs) throw new Error("the clients did not get there in time");
      await Promise.race([pause(10), failed]);
    }
  }
}

/** Cuts off, and returns the moment at which the call had returned. */
export async function momentOfReturn(cutOff: () => Promise<unknown>): Promise<number> {
  await cutOff();
  return performance.now();
}
