import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  createReadStream,
  fsyncSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  type Stats,
  symlinkSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { syncFolder } from "../files/durable-file.ts";
import { NodeError } from "./errors.ts";
import { overwrite } from "./file-steps.ts";

/** One entry of a data folder. */
export interface TreeEntry {
  /** Relative to the folder. */
  readonly path: string;
  readonly kind: "folder" | "file" | "link";
  readonly stats: Stats;
}

/**
 * Everything under a folder, parents first, in byte order of the names. Sockets and FIFOs are left out: they are made
 * anew by the program and hold nothing.
 *
 * @throws {NodeError} `FILE_UNSAFE` for a device.
 */
export function readTree(folder: string): TreeEntry[] {
  const entries: TreeEntry[] = [];
  const walk = (inside: string): void => {
    for (const name of readdirSync(join(folder, inside)).sort((a, b) =>
      Buffer.compare(Buffer.from(a), Buffer.from(b)),
    )) {
      const path = inside === "" ? name : `${inside}/${name}`;
      const stats = lstatSync(join(folder, path));
      if (stats.isSocket() || stats.isFIFO()) continue;
      const kind = stats.isDirectory()
        ? "folder"
        : stats.isFile()
          ? "file"
          : stats.isSymbolicLink()
            ? "link"
            : undefined;
      if (kind === undefined) throw new NodeError("FILE_UNSAFE", `${join(folder, path)} is a device; move it away`);
      entries.push({ path, kind, stats });
      if (kind === "folder") walk(path);
    }
  };
  walk("");
  return entries;
}

/**
 * Copies a tree, durably, with modes, times and (for root) owners. A file that is there with the same size and time was
 * copied before and is left, unless `fresh`: an interrupted copy goes on. What the original lacks is removed from the copy.
 */
export function copyTree(from: string, to: string, { fresh = false }: { fresh?: boolean } = {}): void {
  const entries = readTree(from);
  const known = new Set(entries.map((entry) => entry.path));
  for (const { path } of readTree(to).reverse()) if (!known.has(path)) rmSync(join(to, path), { recursive: true });
  for (const entry of entries) {
    const [source, target] = [join(from, entry.path), join(to, entry.path)];
    const there = lstatSync(target, { throwIfNoEntry: false });
    if (there !== undefined && (there.mode & constants.S_IFMT) !== (entry.stats.mode & constants.S_IFMT))
      rmSync(target, { recursive: true });
    if (entry.kind === "folder") mkdirSync(target, { recursive: true, mode: 0o700 });
    else if (entry.kind === "link") copyLink(source, target, entry.stats);
    else if (fresh || !isCopied(target, entry.stats)) copyFile(source, target, entry.stats);
  }
  for (const { path, kind, stats } of entries.reverse()) {
    if (kind !== "folder") continue;
    giveLike(join(to, path), stats);
    syncFolder(join(to, path));
  }
  syncFolder(to);
}

/** Overwrites every file of a tree (but for one with names elsewhere) and removes the tree. Killed, it can be called again. */
export function wipeTree(folder: string): void {
  for (const { path, kind, stats } of readTree(folder)) {
    if (kind !== "file" || stats.nlink !== 1) continue;
    const fd = openSync(join(folder, path), constants.O_WRONLY | constants.O_NOFOLLOW);
    try {
      overwrite(fd, stats.size);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }
  rmSync(folder, { recursive: true });
}

/** Names, kinds and SHA-256 of everything: equal for equal trees. */
export async function treeDigest(folder: string): Promise<string> {
  const whole = createHash("sha256");
  for (const { path, kind, stats } of readTree(folder)) {
    const content =
      kind === "file" ? await fileDigest(join(folder, path)) : kind === "link" ? readlinkSync(join(folder, path)) : "";
    whole.update(JSON.stringify([path, kind, kind === "link" ? 0 : stats.mode & 0o7777, content]));
  }
  return whole.digest("hex");
}

async function fileDigest(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** The time is set last, so a file with the original's size and time is whole. */
function isCopied(target: string, original: Stats): boolean {
  const there = lstatSync(target, { throwIfNoEntry: false });
  return there?.isFile() === true && there.size === original.size && sameTime(there.mtimeMs, original.mtimeMs);
}

/** File systems keep times to a nanosecond or to a microsecond. */
function sameTime(left: number, right: number): boolean {
  return Math.abs(left - right) < 0.002;
}

function copyFile(source: string, target: string, stats: Stats): void {
  rmSync(target, { force: true });
  copyFileSync(source, target, constants.COPYFILE_EXCL);
  const fd = openSync(target, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  giveLike(target, stats);
}

function copyLink(source: string, target: string, stats: Stats): void {
  rmSync(target, { force: true });
  symlinkSync(readlinkSync(source), target);
  if (process.getuid?.() === 0) lchownSync(target, stats.uid, stats.gid);
}

function giveLike(path: string, { mode, uid, gid, atimeMs, mtimeMs }: Stats): void {
  if (process.getuid?.() === 0) chownSync(path, uid, gid);
  chmodSync(path, mode & 0o7777);
  utimesSync(path, atimeMs / 1000, mtimeMs / 1000);
}
