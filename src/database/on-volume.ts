import { lstat } from "node:fs/promises";

/**
 * Whether something lies at a path of the volume. Asked off this process's one thread: the volume's server may be waiting for the master key,
 * which this process holds, so it must not wait for the volume here.
 */
export async function isOnVolume(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}
