/** A moment that a wait ends with `undefined`; the timer goes when the wait is over. */
export class Deadline implements Disposable {
  readonly passed: Promise<undefined>;
  readonly #timer: NodeJS.Timeout;

  constructor(afterMs: number) {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.passed = promise;
    this.#timer = setTimeout(() => resolve(undefined), afterMs);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
