/** Opens a node's three databases, encrypted or plain. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import type { NodeStore, NodeStores } from "./ethereum-client.ts";

/** The key given is not the one the stores were made under. */
export class StoreKeyRefused extends Error {
  override readonly name = "StoreKeyRefused";
}

type Bytes = string | Uint8Array;

/**
 * Opens `chain`, `state` and `meta` under `folder`, making them when they are not there.
 *
 * @param dataKey - 32 bytes; copied. Undefined for plain LevelDB.
 * @throws {StoreKeyRefused} When the key is not the stores'; those opened before are closed again.
 */
export async function openNodeStores(
  folder: string,
  dataKey: Uint8Array | undefined,
  suite: "intl" | "sm",
): Promise<NodeStores> {
  const opened: NodeStore[] = [];
  const open = async (name: string): Promise<NodeStore> => {
    const path = join(folder, name);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    if (dataKey !== undefined) throw new Error(`encrypted stores are missing ${suite}`);
    const store = new ClassicLevel<Bytes, Bytes>(path);
    await store.open();
    opened.push(store);
    return store;
  };
  try {
    return { chain: await open("chain"), state: await open("state"), meta: await open("meta") };
  } catch (error) {
    for (const store of opened) await store.close();
    throw error;
  }
}
