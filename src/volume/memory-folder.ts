import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { VolumeError } from "./errors.ts";
import { processLives, processStart } from "./owner-lock.ts";
import { usersOfFilesUnder } from "./users-of-files.ts";

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

export interface MemoryFolder {
  readonly path: string;
  /** Deletes the folder and what is in it. */
  remove(): void;
}

/**
 * A folder of our own (mode 0700) on a file system in memory. Removes first what owners left that were killed.
 *
 * @throws {VolumeError} `VOLUME_NO_MEMORY_FOLDER`.
 */
export function makeMemoryFolder(candidates: readonly string[] = memoryFolderCandidates()): MemoryFolder {
  const inMemory = candidates.filter(isInMemory);
  for (const candidate of inMemory) removeDeadFolders(candidate);
  for (const candidate of inMemory) {
    try {
      const path = mkdtempSync(join(candidate, `${ownName()}-`));
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

/**
 * Removes the folders that {@link makeMemoryFolder} made in `parent` for processes of this user that are gone. One that a
 * living process still has a file of stays for the next time, and so does everything of a name or an owner not ours.
 *
 * @returns The paths of the folders that were removed.
 */
export function removeDeadFolders(parent: string): string[] {
  const dead = namesIn(parent)
    .filter((name) => ownerIsGone(name))
    .map((name) => join(parent, name))
    .filter((path) => {
      const stat = lstatSync(path, { throwIfNoEntry: false });
      return stat?.isDirectory() === true && stat.uid === process.geteuid?.();
    })
    .filter((path) => usersOfFilesUnder(path).length === 0);
  for (const path of dead) {
    overwriteKey(join(path, "key"));
    rmSync(path, { recursive: true, force: true });
  }
  return dead;
}

/**
 * `strongroom-NAMESPACE-PID-START`: process ids count within a PID namespace (its inode number), and may be given out
 * again, which the time of start (clock ticks since boot, proc_pid_stat(5)) tells.
 */
function ownName(): string {
  return `strongroom-${pidNamespace()}-${process.pid}-${processStart(process.pid) ?? unknown}`;
}

/** Stands in a name for what the system did not tell; such a folder is left alone. */
const unknown = "0";
const namePattern = /^strongroom-([0-9]{1,20})-([0-9]{1,10})-([0-9]{1,20})-[A-Za-z0-9]{6}$/;

function ownerIsGone(name: string): boolean {
  const [, namespace, pid, start] = namePattern.exec(name) ?? [];
  if (namespace === undefined || namespace === unknown || namespace !== pidNamespace()) return false;
  if (!processLives(Number(pid))) return true;
  const startNow = processStart(Number(pid));
  return startNow !== undefined && start !== unknown && startNow !== start;
}

function pidNamespace(): string {
  try {
    return /^pid:\[([0-9]+)\]$/.exec(readlinkSync("/proc/self/ns/pid"))?.[1] ?? unknown;
  } catch {
    return unknown;
  }
}

/** tmpfs gives pages back to the kernel as they are, so a key is overwritten before it goes. */
function overwriteKey(path: string): void {
  try {
    const stat = lstatSync(path);
    if (!stat.isFile()) return;
    chmodSync(path, 0o600);
    writeFileSync(path, Buffer.alloc(stat.size), { flag: "r+" });
  } catch {
    // There is none, or another process removed it.
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
