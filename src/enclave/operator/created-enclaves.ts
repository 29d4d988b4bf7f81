import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * Names of the enclaves that were created in a host's folder, in order. A folder without a sealed blob is of a creation that was
 * refused, or did not come to its end: `enclave create` goes on with it.
 *
 * @param folder - Need not be there.
 */
export function createdEnclaves(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => existsSync(join(folder, name, "blob")))
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
