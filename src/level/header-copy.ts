import { closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { LevelError } from "./errors.ts";
import { maxCursorBytes, parseHeader } from "./header.ts";
import { matchDataKeys } from "./open-store.ts";

const fileName = "strongroom-level-header";
const maxFileBytes = 4096 + maxCursorBytes;

/**
 * A copy of the header record in a file beside the database's own, so that a wrong data key is refused before the
 * database is opened: opening alone makes LevelDB write to its log and manifest. The record in the database stays the
 * authority; without the file, the database is opened and its record decides.
 *
 * @throws {LevelError} `LEVEL_WRONG_KEY`, or `LEVEL_CORRUPTION` for a file that is not a header under that key.
 */
export function checkHeaderCopy(location: string, dataKeys: readonly SecretBuffer[]): void {
  // LevelDB's folder has a CURRENT file; without one there is no database, whatever was left behind.
  if (!exists(join(location, "CURRENT")) || !exists(join(location, fileName))) return;
  const path = join(location, fileName);
  if (statSync(path).size > maxFileBytes)
    throw new LevelError(
      "LEVEL_CORRUPTION",
      `${path} is too large for a header; remove it if the database was replaced`,
    );
  matchDataKeys(parseHeader(readFileSync(path)), dataKeys);
}

/** Replaces the copy: durable, and whole or not at all. Does nothing when it is up to date. */
export function writeHeaderCopy(location: string, record: Buffer): void {
  const path = join(location, fileName);
  if (exists(path) && statSync(path).size === record.length && readFileSync(path).equals(record)) return;
  const file = openSync(`${path}.new`, "w", 0o600);
  try {
    writeFileSync(file, record);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
  const folder = openSync(location, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
