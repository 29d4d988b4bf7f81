import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { readTextFile } from "../../files/text-file.ts";
import { EnclaveError } from "../errors.ts";

const maxTextBytes = 1 << 20;

/**
 * Writes a file that must not be there yet, durably, in a folder that is made where it is missing (mode 0700).
 *
 * @throws EnclaveError CONFLICT: it is there; STORE_FAILED
 */
export async function writeNewFile(path: string, bytes: Uint8Array, mode: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  try {
    await using file = await open(path, "wx", mode);
    await file.writeFile(bytes);
    await file.chmod(mode);
    await file.sync();
    await using folder = await open(dirname(path), "r");
    await folder.sync();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST")
      throw new EnclaveError("CONFLICT", `${path} exists already`, {
        hint: `it stays as it is: name another folder than ${dirname(path)}`,
      });
    throw new EnclaveError("STORE_FAILED", `${path} cannot be written`, { cause });
  }
}

/** @param hint - What to do where there is none. @throws EnclaveError SETTINGS_INVALID: it cannot be read */
export function readText(path: string, hint?: string): string {
  try {
    return readTextFile(path, maxTextBytes);
  } catch (cause) {
    throw new EnclaveError("SETTINGS_INVALID", (cause as Error).message, { cause, hint });
  }
}
