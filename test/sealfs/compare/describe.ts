import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { native } from "./native-calls.ts";

const pageBytes = 4096;
/** Times before this were set by a test: 2016. */
const presentNs = 1_450_000_000_000_000_000n;
const largeFileBytes = 4 * 2 ** 20;
const seekData = 3;
const seekHole = 4;

/** What stat(2) must say alike: not times of the present, of folders no size, of FIFOs no times. */
export function describeStat(stat: fs.BigIntStats): string {
  const modified = stat.isFIFO() ? "" : stat.mtimeNs < presentNs ? String(stat.mtimeNs) : "now";
  const size = stat.isDirectory() ? "" : ` ${stat.size} bytes`;
  return `${stat.mode.toString(8)} ${stat.uid}:${stat.gid} ${stat.nlink} links${size} modified ${modified}`;
}

/** Every entry below a folder, one line each, sorted: type, mode, owner, links, size, content, link target, attributes. */
export function describeTree(root: string, withAttributes: boolean): string[] {
  const lines: string[] = [];
  const pending = [""];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const full = join(root, path);
    const stat = fs.lstatSync(full, { bigint: true });
    let line = `${path || "."}: ${describeStat(stat)}`;
    if (stat.isSymbolicLink()) line += ` -> ${fs.readlinkSync(full)}`;
    if (stat.isFile()) line += ` ${contentDigest(full)}`;
    if (withAttributes && !stat.isSymbolicLink()) line += attributesOf(full);
    lines.push(line);
    if (stat.isDirectory()) for (const name of fs.readdirSync(full)) pending.push(join(path, name));
  }
  return lines.sort();
}

function attributesOf(path: string): string {
  const list = Buffer.alloc(65_536);
  const names = list
    .toString("utf8", 0, native.listxattr(path, list, list.length))
    .split("\0")
    .filter((name) => name.startsWith("user."))
    .sort();
  return names.map((name) => ` ${name}=${attributeDigest(path, name)}`).join("");
}

function attributeDigest(path: string, name: string): string {
  const value = Buffer.alloc(65_536);
  const length = native.getxattr(path, name, value, value.length);
  return createHash("sha256").update(value.subarray(0, length)).digest("base64url").slice(0, 8);
}

/** Of the pages that are not all zeros, each with its place; so a hole and written zeros are alike. */
function contentDigest(path: string): string {
  const descriptor = fs.openSync(path, fs.constants.O_RDONLY);
  try {
    fs.fsyncSync(descriptor);
    const { size } = fs.fstatSync(descriptor);
    const hash = createHash("sha256");
    if (size <= largeFileBytes) hashPages(hash, descriptor, 0, size);
    else for (const [start, end] of dataOf(descriptor, size)) hashPages(hash, descriptor, start, end);
    return hash.digest("base64url").slice(0, 12);
  } finally {
    fs.closeSync(descriptor);
  }
}

function* dataOf(descriptor: number, size: number): Generator<readonly [number, number]> {
  for (let at = 0; at < size; ) {
    let start = size;
    try {
      start = native.lseek(descriptor, at, seekData);
    } catch (error) {
      if ((error as { code?: string }).code !== "ENXIO") throw error;
    }
    if (start >= size) return;
    at = native.lseek(descriptor, start, seekHole);
    yield [start - (start % pageBytes), at];
  }
}

const zeros = Buffer.alloc(pageBytes);

function hashPages(hash: ReturnType<typeof createHash>, descriptor: number, start: number, end: number): void {
  const chunk = Buffer.alloc(64 * pageBytes);
  for (let at = start; at < end; ) {
    const count = fs.readSync(descriptor, chunk, 0, Math.min(chunk.length, end - at), at);
    if (count === 0) throw new Error(`the file ends at ${at}, before ${end}`);
    for (let within = 0; within < count; within += pageBytes) {
      const page = chunk.subarray(within, Math.min(within + pageBytes, count));
      if (!page.equals(zeros.subarray(0, page.length))) hash.update(`${at + within}:`).update(page);
    }
    at += count;
  }
}
