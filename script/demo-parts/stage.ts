/** Prints the demo: numbered steps, what was done, what was seen, and a table of checks at the end. */

const colourful = process.stdout.isTTY && process.env.NO_COLOR === undefined;
const paint = (code: number, text: string) => (colourful ? `\u001b[${code}m${text}\u001b[0m` : text);

interface Check {
  readonly what: string;
  readonly holds: boolean;
  readonly seen: string;
}

export class Stage {
  readonly #checks: Check[] = [];
  readonly #steps: number;
  readonly #startedMs = performance.now();
  #step = 0;

  /** @param steps - How many steps there will be, for the progress that is shown. */
  constructor(steps: number) {
    this.#steps = steps;
  }

  step(title: string): void {
    this.#step += 1;
    process.stdout.write(`\n${paint(1, `[${this.#step}/${this.#steps}] ${title}`)}  ${paint(2, this.#elapsed())}\n`);
  }

  /** What is being done: a command as a person would type it. */
  command(line: string): void {
    process.stdout.write(`  ${paint(36, `$ ${line}`)}\n`);
  }

  /** What was seen. */
  say(line: string): void {
    process.stdout.write(`  ${line}\n`);
  }

  /** One line of the final table. */
  check(what: string, holds: boolean, seen: string): void {
    this.#checks.push({ what, holds, seen });
    process.stdout.write(`  ${holds ? paint(32, "✓") : paint(31, "✗")} ${what}: ${seen}\n`);
  }

  /** Prints the table; true when every check holds. */
  end(): boolean {
    const width = Math.max(...this.#checks.map(({ what }) => what.length));
    process.stdout.write(`\n${paint(1, "Checks")}\n`);
    for (const { what, holds, seen } of this.#checks)
      process.stdout.write(`  ${holds ? paint(32, "holds ") : paint(31, "FAILED")}  ${what.padEnd(width)}  ${seen}\n`);
    const failed = this.#checks.filter(({ holds }) => !holds).length;
    const verdict =
      failed === 0 ? paint(32, "every check holds") : paint(31, `${failed} of ${this.#checks.length} checks failed`);
    process.stdout.write(`\n${verdict}  ${paint(2, this.#elapsed())}\n`);
    return failed === 0;
  }

  #elapsed(): string {
    return `${((performance.now() - this.#startedMs) / 1000).toFixed(0)} s`;
  }
}
