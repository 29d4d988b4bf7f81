import type { Command } from "commander";
import { shown, shownJson, shownLines } from "./audit-lines.ts";

/** Every command that prints data takes `--json`: one JSON value on standard output, nothing else there. */
export interface OutputOptions {
  readonly json?: boolean;
}

/** Adds `--json` to a command. */
export function withJson(command: Command): Command {
  return command.option("--json", "print one JSON value");
}

/**
 * Prints data on standard output: the value as JSON, or the lines that `render` makes of it for a person. Nothing in them
 * steers a terminal; a text of many lines that someone else chose is for `render` to make one line ({@link shown}).
 */
export function printData<T>(options: OutputOptions, value: T, render: (value: T) => string): void {
  const text = options.json ? shownJson(value, 2) : shownLines(render(value).replace(/\n*$/, ""));
  process.stdout.write(`${text}\n`);
}

/** Prints text that is ready as data on standard output; nothing when there is none. */
export function printText(text: string): void {
  if (text !== "") process.stdout.write(`${text.replace(/\n*$/, "")}\n`);
}

/** Lines up rows of cells under headings; empty rows give the headings alone. A cell is one line, whatever is in it. */
export function table(headings: readonly string[], given: readonly (readonly string[])[]): string {
  const rows = given.map((row) => row.map(shown));
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => (row[column] ?? "").length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  return [line(headings), ...rows.map(line)].join("\n");
}

/** Tells the person something on standard error; data goes to standard output. */
export function tell(message: string): void {
  process.stderr.write(`strongroom: ${shownLines(message)}\n`);
}
