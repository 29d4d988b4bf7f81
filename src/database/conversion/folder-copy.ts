import { type FileHandle, lstat, mkdir, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";

/** How folders are copied. Everything waits outside this thread: it may have to answer for the volume that they lie on. */
export interface CopyOptions {
  /** Ends the copying. */
  readonly signal: AbortSignal;
  /**
   * Others write the folder meanwhile: only files of these names are copied, and what vanishes is passed over. Left out: all
   * files, and what is in the copy alone is removed.
   */
  readonly only?: (name: string) => boolean;
  /** Told the sizes of files, as they are done. */
  readonly done?: (bytes: number) => void;
}

const pieceBytes = 1024 * 1024;
/** Runs of zeros of this length and place become holes, as in files that are laid out before they are filled. */
const holeBytes = 16 * 1024;
const zeros = Buffer.alloc(holeBytes);
const permissionBits = 0o7777;

/**
 * Makes a folder like another: files, folders, modes and times of files. What the copy has already, by size and time, is kept.
 * Nothing is durable by it.
 *
 * @throws {Error} For what is neither file nor folder; as `node:fs`; the signal's reason.
 */
export async function copyFolder(from: string, to: string, options: CopyOptions): Promise<void> {
  const { signal, only } = options;
  await makeFolder(to, (await lstat(from)).mode);
  const entries = await readdir(from, { withFileTypes: true });
  for (const entry of entries) {
    signal.throwIfAborted();
    const [source, copy] = [join(from, entry.name), join(to, entry.name)];
    try {
      if (entry.isDirectory()) await copyFolder(source, copy, options);
      else if (!entry.isFile()) throw notCopied();
      else if (only === undefined || only(entry.name)) {
        const bytes = await copyFile(source, copy, signal);
        options.done?.(bytes);
      }
    } catch (error) {
      if (only === undefined || (error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
  if (only !== undefined) return;
  const names = new Map(entries.map((entry) => [entry.name, entry.isDirectory()]));
  for (const entry of await readdir(to, { withFileTypes: true }))
    if (names.get(entry.name) !== entry.isDirectory()) await rm(join(to, entry.name), { recursive: true });
}

/**
 * Compares two folders whole, byte by byte.
 *
 * @throws {Error} When they differ; as `node:fs`; the signal's reason.
 */
export async function compareFolders(left: string, right: string, signal: AbortSignal): Promise<void> {
  const [entries, others] = await Promise.all([left, right].map((each) => readdir(each, { withFileTypes: true })));
  const names = new Map(others?.map((entry) => [entry.name, entry.isDirectory()]));
  if (entries === undefined || entries.length !== names.size) throw different();
  for (const entry of entries) {
    signal.throwIfAborted();
    if (names.get(entry.name) !== entry.isDirectory()) throw different();
    const [one, other] = [join(left, entry.name), join(right, entry.name)];
    if (entry.isDirectory()) await compareFolders(one, other, signal);
    else await compareFiles(one, other, signal);
  }
}

/** The sizes of a folder's files; 0 for a folder that is not there. What vanishes meanwhile counts nothing. */
export async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  try {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      bytes += entry.isDirectory() ? await folderBytes(path) : (await lstat(path)).size;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  return bytes;
}

async function makeFolder(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode: mode & permissionBits });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    if ((await lstat(path)).isDirectory()) return;
    await rm(path);
    await mkdir(path, { mode: mode & permissionBits });
  }
}

/** @returns Its size. */
async function copyFile(from: string, to: string, signal: AbortSignal): Promise<number> {
  await using source = await open(from, "r");
  const { size, mode, atime, mtime } = await source.stat();
  const before = await lstat(to).catch(() => undefined);
  if (before?.isFile() === true && before.size === size && before.mtime.getTime() === mtime.getTime()) return size;
  if (before !== undefined) await rm(to, { recursive: true });
  await using copy = await open(to, "wx", mode & permissionBits);
  const piece = Buffer.allocUnsafe(pieceBytes);
  for (let at = 0; ; ) {
    signal.throwIfAborted();
    const { bytesRead } = await source.read(piece, 0, pieceBytes, at);
    if (bytesRead === 0) break;
    await writeButZeros(copy, piece.subarray(0, bytesRead), at);
    at += bytesRead;
  }
  await copy.truncate(size);
  await copy.utimes(atime, mtime);
  return size;
}

async function writeButZeros(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  let from = 0;
  const writeUntil = async (end: number): Promise<void> => {
    while (from < end) from += (await file.write(bytes, from, end - from, position + from)).bytesWritten;
  };
  for (let at = 0; at + holeBytes <= bytes.length; at += holeBytes) {
    if (!bytes.subarray(at, at + holeBytes).equals(zeros)) continue;
    await writeUntil(at);
    from = at + holeBytes;
  }
  await writeUntil(bytes.length);
}

async function compareFiles(left: string, right: string, signal: AbortSignal): Promise<void> {
  await using one = await open(left, "r");
  await using other = await open(right, "r");
  const [{ size }, { size: otherSize }] = [await one.stat(), await other.stat()];
  if (size !== otherSize) throw different();
  const [piece, otherPiece] = [Buffer.allocUnsafe(pieceBytes), Buffer.allocUnsafe(pieceBytes)];
  for (let at = 0; at < size; at += pieceBytes) {
    signal.throwIfAborted();
    const length = Math.min(pieceBytes, size - at);
    const [bytes, others] = [await readAll(one, piece, length, at), await readAll(other, otherPiece, length, at)];
    if (!bytes.equals(others)) throw different();
  }
}

async function readAll(file: FileHandle, into: Buffer, length: number, position: number): Promise<Buffer> {
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(into, done, length - done, position + done);
    if (bytesRead === 0) throw different();
    done += bytesRead;
  }
  return into.subarray(0, length);
}

// Without names: they are under a key.
function different(): Error {
  return new Error("a copy is not as what it was made from");
}

function notCopied(): Error {
  return new Error("a folder of the database holds something that is neither file nor folder");
}
