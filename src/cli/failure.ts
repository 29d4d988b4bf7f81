import { shownLines } from "./audit-lines.ts";

/** The documented exit codes of every command (docs/operations.md). */
export const exitCodes = { done: 0, other: 1, usage: 2, refused: 3, unreachable: 4, integrity: 5 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** A failure of the command line itself: bad arguments, a refused prompt. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  readonly exitCode: ExitCode;
  readonly hint: string | undefined;

  constructor(exitCode: ExitCode, message: string, hint?: string) {
    super(message);
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

/** The exit code of an error: the `exitCode` that errors of the parts carry, else 1. */
export function exitCodeOf(error: unknown): number {
  if (typeof error === "object" && error !== null && "exitCode" in error && typeof error.exitCode === "number")
    return error.exitCode;
  return exitCodes.other;
}

/** Prints `strongroom: error: …` (and a hint) on standard error: lower case, no stack, never a secret. */
export function reportError(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`strongroom: error: ${shownLines(message)}\n`);
  if (typeof error === "object" && error !== null && "hint" in error && typeof error.hint === "string")
    process.stderr.write(`strongroom: hint: ${shownLines(error.hint)}\n`);
}
