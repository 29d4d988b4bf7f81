import { randomBytes } from "node:crypto";
import { closeSync, constants, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Writes a whole file so that after a crash it is either missing (or as before) or complete: temporary name, sync, rename,
 * sync of the folder. Whatever has the temporary name is removed, and no link is followed. For a folder with one writer.
 *
 * @param reached - Told after each part, for tests that end the process there.
 */
export function writeDurably(path: string, bytes: Uint8Array, reached?: (part: string) => void): void {
  const temporary = `${path}.tmp`;
  rmSync(temporary, { force: true });
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const fd = openSync(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    writeFileSync(fd, bytes);
    reached?.("written");
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  reached?.("synced");
  renameSync(temporary, path);
  reached?.("renamed");
  syncFolder(dirname(path));
}

/**
 * Replaces a file that others may be replacing too: a reader, or a crash at any point, sees the old bytes or the new ones,
 * never a mixture. Durable on return: the file and its folder are synced.
 *
 * @param mode - Permission bits of the new file.
 */
export function replaceFileDurably(path: string, bytes: Uint8Array, mode: number): void {
  // Random too: a process that was killed may have left one behind, and its number comes again.
  const temporary = `${path}.new-${process.pid}-${randomBytes(4).toString("hex")}`;
  const fd = openSync(temporary, "wx", mode);
  try {
    writeFileSync(fd, bytes);
    fsyncSync(fd);
  } catch (error) {
    closeSync(fd);
    rmSync(temporary, { force: true });
    throw error;
  }
  closeSync(fd);
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

/** Makes renames, creations and removals in a folder durable. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
