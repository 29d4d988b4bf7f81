import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EnclaveError } from "../errors.ts";
import { CredentialsSchema } from "../messages/generated/fpc/fpc_pb.ts";
import { decodeStrict } from "../messages/strict.ts";
import { readCredentials } from "../protocol/attested-data.ts";

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

/**
 * The same by the enclaves' ids, upper-case hexadecimal. One whose credentials the host has lost, or altered, is left out: its
 * agent can tell what it is.
 *
 * @param folder - Need not be there.
 */
export function enclaveNames(folder: string): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const name of createdEnclaves(folder)) {
    const file = join(folder, name, "credentials");
    if (!existsSync(file)) continue;
    try {
      const { enclaveId } = readCredentials(decodeStrict(CredentialsSchema, readFileSync(file)), "not yet");
      names.set(enclaveId.text, name);
    } catch (error) {
      if (!(error instanceof EnclaveError)) throw error;
    }
  }
  return names;
}
