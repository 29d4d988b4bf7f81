import type { Command } from "commander";

/** Every command that prints data takes `--json`: one JSON value on standard output, nothing else there. */
export interface OutputOptions {
  readonly json?: boolean;
}

/** Adds `--json` to a command. */
export function withJson(command: Command): Command {
  return command.option("--json", "print one JSON value");
}

/** Prints data on standard output: the value as JSON, or the lines that `render` makes of it for a person. */
export function printData<T>(options: OutputOptions, value: T, render: (value: T) => string): void {
  process.stdout.write(options.json ? `${JSON.stringify(value, null, 2)}\n` : `${render(value).replace(/\n*$/, "")}\n`);
}

/** Prints text that is ready as data on standard output; nothing when there is none. */
export function printText(text: string): void {
  if (text !== "") process.stdout.write(`${text.replace(/\n*$/, "")}\n`);
}

/** Lines up rows of cells under headings; empty rows give the headings alone. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
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
  process.stderr.write(`strongroom: ${message}\n`);
}
