import type { KeyManagerClient } from "../../client/client.ts";
import { connectAs } from "../../client/identity-folder.ts";
import { DatabaseError } from "../errors.ts";

/**
 * A client of the key manager, with the identity in a folder.
 *
 * @throws {DatabaseError} `SETTINGS_INVALID` when the folder holds no identity, or others may read its key.
 */
export function connectKeyManager(servers: readonly string[], identityFolder: string): KeyManagerClient {
  return connectAs(
    identityFolder,
    servers,
    (message, { hint, cause }) => new DatabaseError("SETTINGS_INVALID", message, { hint, cause }),
  );
}
