import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join, relative } from "node:path";

/** Every path under a folder that holds `needle` in its name, its link target or, as a regular file, its bytes. */
export function pathsHolding(folder: string, needle: string): string[] {
  return walk(folder).filter((path) => {
    if (relative(folder, path).includes(needle)) return true;
    const stat = lstatSync(path);
    if (stat.isSymbolicLink()) return readlinkSync(path).includes(needle);
    return stat.isFile() && (readable(path)?.includes(needle) ?? false);
  });
}

/** Name, size and digest of everything under a folder; a file that the kernel will not read counts by name and size. */
export function snapshot(folder: string): string[] {
  return walk(folder)
    .map((path) => {
      const stat = lstatSync(path);
      const bytes = stat.isFile() ? readable(path) : undefined;
      const digest = bytes === undefined ? "unread" : createHash("sha256").update(bytes).digest("hex");
      return `${relative(folder, path)} ${stat.mode.toString(8)} ${stat.isFile() ? stat.size : "-"} ${digest}`;
    })
    .sort();
}

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? [path, ...walk(path)] : [path];
  });
}

/** ENOKEY of asm-generic/errno.h, which libuv has no name for: an encrypted file whose key is not in the kernel. */
const noKeyErrno = -126;

function readable(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).errno === noKeyErrno) return undefined;
    throw error;
  }
}
