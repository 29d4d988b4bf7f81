import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { VolumeError } from "./errors.ts";

/** f_type of tmpfs and ramfs (statfs(2)): file systems whose files are in memory. */
const tmpfsMagic = 0x01021994;
const ramfsMagic = 0x858458f6;

/** True when files in `folder` never reach a disk (swap aside, which launch checks look at). */
export function isInMemory(folder: string): boolean {
  try {
    const { type } = statfsSync(folder);
    return type === tmpfsMagic || type === ramfsMagic;
  } catch {
    return false;
  }
}

/** A folder of our own (mode 0700) on a file system in memory; `remove` deletes it and what is in it. */
export function makeMemoryFolder(candidates: readonly string[] = memoryFolderCandidates()): {
  path: string;
  remove(): void;
} {
  for (const candidate of candidates.filter(isInMemory)) {
    try {
      const path = mkdtempSync(join(candidate, "strongroom-"));
      return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
    } catch {
      // Not writable by us.
    }
  }
  throw new VolumeError(
    "VOLUME_NO_MEMORY_FOLDER",
    `none of ${candidates.join(", ")} is a writable tmpfs; mount one, as root: mount -t tmpfs -o mode=1777 tmpfs /dev/shm`,
  );
}

/** Where to look for a tmpfs, best first. */
export function memoryFolderCandidates(): string[] {
  const own = process.env.XDG_RUNTIME_DIR;
  return [...(own === undefined || own === "" ? [] : [own]), "/run", "/dev/shm", "/tmp"];
}
