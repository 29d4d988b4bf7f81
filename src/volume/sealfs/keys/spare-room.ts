import { join } from "node:path";
import { kernelRandomBytes } from "../../../crypto/kernel-random.ts";
import type { TableSystem } from "./table-system.ts";

/** A file beside a table, in which nothing of meaning lies: room that is given up when the disk is full. */
export const spareName = "keys.spare";
/** Enough for some hundred openings of a volume on a full disk. */
const spareBytes = 64 * 1024;

/** Sets room aside, as much of it as there is. Random bytes, which no file system below stores in less. */
export function keepSpare(system: TableSystem, folder: string): void {
  const path = join(folder, spareName);
  try {
    if ((system.read(path, spareBytes)?.length ?? 0) >= spareBytes) return;
    system.remove(path);
    const fd = system.open(path, "fresh");
    try {
      system.write(fd, kernelRandomBytes(spareBytes), 0);
    } finally {
      system.close(fd);
    }
  } catch {
    // What fits is there; or the folder can only be read.
  }
}

/**
 * Writes, and once more in the spare room when the disk is full: so a volume can be opened, and room be made in it.
 *
 * @param write - Leaves nothing behind when it throws.
 * @throws What `write` does.
 */
export function withSpare<T>(system: TableSystem, folder: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    if (!isFull(error) || !giveSpareUp(system, folder)) throw error;
    return write();
  }
}

/** @returns False when there was nothing to give up. */
function giveSpareUp(system: TableSystem, folder: string): boolean {
  const path = join(folder, spareName);
  try {
    if (system.read(path, 0) === undefined) return false;
    system.remove(path);
    return true;
  } catch {
    return false;
  }
}

function isFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT";
}
