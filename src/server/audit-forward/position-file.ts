import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const maxFileBytes = 64;

/**
 * Up to which record one place has been sent everything: `audit-forward-ID` in the data folder, the number in decimal. It
 * is replaced as a whole. A crash of the machine may put it back a little: those records are sent again.
 */
export class PositionFile {
  readonly #path: string;

  constructor(dataDir: string, id: string) {
    this.#path = join(dataDir, `audit-forward-${id}`);
  }

  /** Undefined when there is none, or none that can be believed. */
  read(): number | undefined {
    try {
      const text = readFileSync(this.#path, "latin1");
      return text.length <= maxFileBytes && /^\d{1,15}\n$/.test(text) ? Number(text) : undefined;
    } catch {
      return undefined;
    }
  }

  write(sequence: number): void {
    const next = `${this.#path}.next`;
    writeFileSync(next, `${sequence}\n`, { mode: 0o600 });
    renameSync(next, this.#path);
  }
}
