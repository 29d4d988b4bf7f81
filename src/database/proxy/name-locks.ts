/** Lets one request at a time change a database. Names are taken in order, so that two requests never wait for each other. */
export class NameLocks {
  readonly #held = new Map<string, Promise<void>>();

  /** Runs `work` while no other work with any of these names runs. */
  async run<T>(names: readonly string[], work: () => Promise<T>): Promise<T> {
    const releases: (() => void)[] = [];
    try {
      for (const name of [...new Set(names)].sort()) releases.push(await this.#take(name));
      return await work();
    } finally {
      for (const release of releases) release();
    }
  }

  async #take(name: string): Promise<() => void> {
    const before = this.#held.get(name);
    const { promise, resolve } = Promise.withResolvers<void>();
    const mine = (before ?? Promise.resolve()).then(() => promise);
    this.#held.set(name, mine);
    await before;
    return () => {
      if (this.#held.get(name) === mine) this.#held.delete(name);
      resolve();
    };
  }
}
