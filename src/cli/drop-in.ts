import { hardenThisProcess } from "../volume/process-hardening.ts";
import { exitCodeOf } from "./failure.ts";

/** Prints a line for the person on standard error. */
export type Tell = (message: string) => void;

/**
 * Runs one of the programs that are named as another product's documents name them. A failure is one line
 * `name: error: …` on standard error (and `name: hint: …`), and the exit codes of docs/operations.md. The process's memory is
 * closed to other processes of its user, and to core dumps, before an argument is looked at.
 */
export async function runDropIn(
  name: string,
  main: (args: readonly string[], tell: Tell) => Promise<void>,
): Promise<void> {
  const tell: Tell = (message) => process.stderr.write(`${name}: ${message}\n`);
  const args = process.argv.slice(2);
  hideArguments(name);
  try {
    await hardenThisProcess();
    await main(args, tell);
  } catch (error) {
    tell(`error: ${error instanceof Error ? error.message : String(error)}`);
    if (typeof error === "object" && error !== null && "hint" in error && typeof error.hint === "string")
      tell(`hint: ${error.hint}`);
    process.exitCode = isBadArguments(error) ? 2 : exitCodeOf(error);
  }
}

/**
 * Overwrites this process's command line, which every user of the machine can read: `ps` shows `title` from now on.
 * What the shell has written down, and whoever looked before, is out of reach.
 */
function hideArguments(title: string): void {
  process.title = title;
  process.argv.length = 2;
}

/** `node:util`'s parseArgs throws TypeErrors with these codes. */
function isBadArguments(error: unknown): boolean {
  return error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
}
