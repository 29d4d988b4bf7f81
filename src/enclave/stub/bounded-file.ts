import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { EnclaveError } from "../errors.ts";

/**
 * The bytes of a file; undefined where there is none.
 *
 * @throws EnclaveError MALFORMED: longer than `maxBytes`, or not a regular file
 */
export function readIfThere(path: string, maxBytes: number): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile() || stats.size > maxBytes)
      throw new EnclaveError("MALFORMED", `${path} is no file of an enclave: it is too long, or not a regular file`);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}
