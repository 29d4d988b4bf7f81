import { writeFileSync } from "node:fs";
import { readTextFile } from "../../files/text-file.ts";
import { CommandFailure, exitCodes } from "../failure.ts";

const maxFileBytes = 1 << 20;

/** A document that people hand around: a policy, a signature. @throws CommandFailure it cannot be read, or is too long */
export function readText(path: string): string {
  try {
    return readTextFile(path, maxFileBytes);
  } catch (error) {
    throw new CommandFailure(exitCodes.usage, (error as Error).message);
  }
}

/** Writes a document where there is none, or the same. @throws CommandFailure there is another one, or it cannot be written */
export function writeNewText(path: string, text: string, option: string): void {
  try {
    writeFileSync(path, text, { flag: "wx" });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== "EEXIST") throw new CommandFailure(exitCodes.other, `${path} cannot be written: ${code}`);
    if (readText(path) !== text)
      throw new CommandFailure(
        exitCodes.usage,
        `${path} is there already, with something else in it`,
        `remove it, or name another file with ${option}`,
      );
  }
}

const madeBy =
  "strongroom fpc policy show --next prints a document to begin from, and policy sign an organisation's signature of it";

/** Reads what is in a file, whose name a refusal of its form says. @throws CommandFailure; what `read` throws but MALFORMED */
export function readDocument<T>(path: string, read: (text: string) => T): T {
  const text = readText(path);
  try {
    return read(text);
  } catch (error) {
    if (!isMalformed(error)) throw error;
    throw new CommandFailure(exitCodes.usage, `${error.code}: ${path}: ${error.message}`, error.hint ?? madeBy);
  }
}

function isMalformed(error: unknown): error is Error & { readonly code: "MALFORMED"; readonly hint?: string } {
  return error instanceof Error && "code" in error && error.code === "MALFORMED";
}
