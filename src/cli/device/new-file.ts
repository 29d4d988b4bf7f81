import { lstatSync, writeFileSync } from "node:fs";
import { CommandFailure, exitCodes } from "../failure.ts";

/**
 * To be asked before anything is done for the sake of the file.
 *
 * @throws {CommandFailure} 1 when something has that name already.
 */
export function mustBeNew(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) throw isThere(path);
}

/**
 * Writes a file that was not there; one that is there is not replaced.
 *
 * @param mode - Before the umask. @defaultValue 0o666
 * @throws {CommandFailure} 1.
 */
export function writeNewFile(path: string, content: string | Buffer, mode?: number): void {
  try {
    writeFileSync(path, content, { flag: "wx", ...(mode === undefined ? {} : { mode }) });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EEXIST") throw isThere(path);
    throw new CommandFailure(exitCodes.other, `${path} cannot be written: ${code}`);
  }
}

function isThere(path: string): CommandFailure {
  return new CommandFailure(exitCodes.other, `${path} is there already`, "move it away, or name another file: --out");
}
