import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { EnclaveError } from "../errors.ts";

/**
 * Writes a whole file: after a crash it is as before, or complete. Temporary name, fsync, rename, fsync of the folder.
 *
 * @param reached - Told before each part, for tests that end the process there.
 */
export function writeDurably(path: string, bytes: Uint8Array, reached: (step: string) => void): void {
  const temporary = `${path}.tmp`;
  rmSync(temporary, { force: true });
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const fd = openSync(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    writeFileSync(fd, bytes);
    reached("written");
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  reached("synced");
  renameSync(temporary, path);
  reached("renamed");
  syncFolder(dirname(path));
}

/** Makes the names in a folder durable. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

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
