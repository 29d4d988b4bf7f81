import type { ServerFindings } from "../control/control.ts";

const mostKept = 100;
const mostRemembered = 10_000;

/** What was found wrong. A program that reads a damaged file again and again is told of it each time, the operator once. */
export class Findings {
  readonly #known = new Set<string>();
  readonly #latest: string[] = [];
  #count = 0;

  /** @returns False when it was told of before. */
  add(what: string): boolean {
    this.#count += 1;
    if (this.#known.has(what)) return false;
    if (this.#known.size < mostRemembered) this.#known.add(what);
    this.#latest.push(what);
    if (this.#latest.length > mostKept) this.#latest.shift();
    return true;
  }

  get report(): ServerFindings {
    return { count: this.#count, latest: [...this.#latest] };
  }
}
