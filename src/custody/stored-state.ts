import { join } from "node:path";
import type { RootKey } from "../devices/root-key.ts";
import { dataFiles } from "./data-files.ts";
import { CustodyError } from "./errors.ts";
import { Journal } from "./journal.ts";
import { Authenticator } from "./state/authenticator.ts";
import type { State } from "./state/state.ts";
import { SqliteStore } from "./store/sqlite.ts";

/** How often the state is read anew when a server that runs has changed it in between. */
const attempts = 10;

/**
 * Reads the state of a data folder, also while a server works on it, and changes nothing. What it says is authenticated by the
 * root key; a root key that is not this store's is found out by it.
 *
 * @throws {CustodyError} `STORE_UNUSABLE`, `STATE_TAMPERED`.
 */
export async function readStoredState(dataDir: string, root: RootKey): Promise<State> {
  using authenticator = new Authenticator(root);
  const store = new SqliteStore(join(dataDir, dataFiles.store));
  try {
    for (let attempt = 1; ; attempt++) {
      const before = await store.readHead();
      try {
        return (await Journal.load(store, authenticator, { clock: Date.now })).state;
      } catch (error) {
        const after = await store.readHead();
        const moved = before !== undefined && after !== undefined && !Buffer.from(before.mac).equals(after.mac);
        if (!(error instanceof CustodyError) || !moved || attempt === attempts) throw error;
      }
    }
  } finally {
    await store.close();
  }
}
