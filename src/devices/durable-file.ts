import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Replaces a file so that a reader, or a crash at any point, sees the old bytes or the new ones, never a mixture.
 * Durable on return: the file and its folder are synced.
 *
 * @param mode - Permission bits of the new file.
 */
export function replaceFileDurably(path: string, bytes: Uint8Array, mode: number): void {
  // Random too: a process that was killed may have left one behind, and its number comes again.
  const temporary = `${path}.new-${process.pid}-${randomBytes(4).toString("hex")}`;
  const file = openSync(temporary, "wx", mode);
  try {
    for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
    fsyncSync(file);
  } catch (error) {
    closeSync(file);
    rmSync(temporary, { force: true });
    throw error;
  }
  closeSync(file);
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

/** Makes renames, creations and removals in a folder durable. */
export function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
