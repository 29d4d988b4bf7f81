import { randomBytes, randomFillSync } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  unlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { syncFolder } from "../files/durable-file.ts";
import { processLives } from "../volume/owner-lock.ts";
import { NodeError } from "./errors.ts";

/**
 * Reads a whole secret file. The caller disposes of it.
 *
 * @throws {NodeError} `FILE_UNSAFE` for a symbolic link, a file with a second name, or anything but a regular file;
 *   `FILE_UNUSABLE` when it cannot be read, is empty or over `maxBytes`.
 */
export function readSecretFile(
  path: string,
  maxBytes: number,
): { readonly secret: SecretBuffer; readonly stats: Stats } {
  const fd = openSafely(path, constants.O_RDONLY);
  try {
    const stats = fstatSync(fd);
    refuseUnlessPlain(path, stats);
    if (stats.size === 0 || stats.size > maxBytes)
      throw new NodeError("FILE_UNUSABLE", `${path} has ${stats.size} bytes, allowed are 1 to ${maxBytes}`);
    const bytes = Buffer.allocUnsafeSlow(stats.size);
    let read = 0;
    while (read < bytes.length) {
      const count = readSync(fd, bytes, read, bytes.length - read, read);
      if (count === 0) break;
      read += count;
    }
    if (read === bytes.length) return { secret: SecretBuffer.take(bytes), stats };
    bytes.fill(0);
    throw new NodeError("FILE_UNUSABLE", `${path} changed while it was read`);
  } finally {
    closeSync(fd);
  }
}

/**
 * Writes a new file: temporary name, sync, then its own name, sync of the folder. Never replaces anything.
 *
 * @throws {NodeError} `TARGET_EXISTS`.
 */
export function writeNewFile(path: string, bytes: Uint8Array, mode = 0o600): void {
  const temporary = writeTemporary(path, bytes, mode);
  try {
    linkSync(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new NodeError("TARGET_EXISTS", `${path} exists already`, { hint: "move it away, or name another file" });
  } finally {
    unlinkSync(temporary);
  }
  syncFolder(dirname(path));
}

/** Replaces a file so that a crash leaves the old bytes or the new ones. */
export function replaceFile(path: string, bytes: Uint8Array, mode = 0o600): void {
  renameSync(writeTemporary(path, bytes, mode), path);
  syncFolder(dirname(path));
}

/** Overwrites a file with random bytes, syncs, and removes it. A second name of the file is refused: it would lose its bytes. */
export function overwriteAndRemove(path: string): void {
  const fd = openSafely(path, constants.O_RDWR);
  try {
    const stats = fstatSync(fd);
    refuseUnlessPlain(path, stats);
    overwrite(fd, stats.size);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  unlinkSync(path);
  syncFolder(dirname(path));
}

/** Random bytes over the first `size` bytes of an open file. */
export function overwrite(fd: number, size: number): void {
  const noise = Buffer.allocUnsafe(Math.min(Math.max(size, 1), 1 << 16));
  for (let at = 0; at < size; ) {
    randomFillSync(noise);
    at += writeSync(fd, noise, 0, Math.min(noise.length, size - at), at);
  }
}

/** Removes the temporary files of writers of `path` that have died. They never hold a plain key of ours. */
export function removeDeadTemporaries(path: string): void {
  const prefix = `${basename(path)}.new-`;
  for (const name of readdirSync(dirname(path))) {
    if (!name.startsWith(prefix)) continue;
    const pid = Number(name.slice(prefix.length).split("-")[0]);
    if (Number.isSafeInteger(pid) && !processLives(pid)) overwriteAndRemove(join(dirname(path), name));
  }
}

function writeTemporary(path: string, bytes: Uint8Array, mode: number): string {
  const temporary = `${path}.new-${process.pid}-${randomBytes(4).toString("hex")}`;
  const fd = openSync(temporary, "wx", mode);
  try {
    for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
    fsyncSync(fd);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
  return temporary;
}

function openSafely(path: string, flags: number): number {
  try {
    // Non-blocking: a FIFO in the file's place must not hang us.
    return openSync(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ELOOP") throw new NodeError("FILE_UNSAFE", `${path} is a symbolic link; name the file itself`);
    throw new NodeError("FILE_UNUSABLE", `${path} cannot be opened: ${code ?? message}`, { cause: error });
  }
}

function refuseUnlessPlain(path: string, stats: Stats): void {
  if (!stats.isFile()) throw new NodeError("FILE_UNSAFE", `${path} is not a regular file`);
  if (stats.nlink !== 1)
    throw new NodeError("FILE_UNSAFE", `${path} has ${stats.nlink} names (hard links); remove the others first`);
}
