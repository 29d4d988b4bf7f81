/** Opens a node's three databases, encrypted or plain. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import { SecretBuffer } from "../../src/crypto/secret-buffer.ts";
import { EncryptedLevel } from "../../src/level/encrypted-level.ts";
import { LevelError, type LevelErrorCode } from "../../src/level/errors.ts";
import type { NodeStore, NodeStores } from "./ethereum-client.ts";

/** The key given is not the one the stores were made under. */
export class StoreKeyRefused extends Error {
  override readonly name = "StoreKeyRefused";
}

const refusals: ReadonlySet<LevelErrorCode> = new Set(["LEVEL_WRONG_KEY", "LEVEL_PLAIN_DATABASE", "LEVEL_CORRUPTION"]);

/** The copy of its header that an encrypted level keeps beside the database's own files. */
const encryptedMark = "strongroom-level-header";

type Bytes = string | Uint8Array;

/**
 * Opens `chain`, `state` and `meta` under `folder`, making them when they are not there.
 *
 * One data key serves all three: each encrypted store has a random id of its own and derives its keys from both. Key
 * names are encrypted too (they are block and transaction hashes; EthereumJS never iterates).
 *
 * @param dataKey - 32 bytes, which are copied. Undefined for plain LevelDB.
 * @throws {StoreKeyRefused} When the key is not the stores', or they are plain; those opened before are closed again.
 */
export async function openNodeStores(
  folder: string,
  dataKey: Uint8Array | undefined,
  suite: "intl" | "sm",
): Promise<NodeStores> {
  using key = dataKey === undefined ? undefined : SecretBuffer.copyOf(dataKey);
  const opened: NodeStore[] = [];
  const open = async (name: string): Promise<NodeStore> => {
    const path = join(folder, name);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    // LevelDB itself would open it, find none of the names it looks for, and begin a second chain among the ciphertext.
    if (key === undefined && existsSync(join(path, encryptedMark)))
      throw new StoreKeyRefused(`${path} is encrypted, and no level key was given; nothing was changed`);
    const level =
      key === undefined
        ? new ClassicLevel<Bytes, Bytes>(path)
        : new EncryptedLevel<Bytes, Bytes>(path, { dataKey: key, suite, encryptKeyNames: true });
    // EthereumJS's type asks for AbstractLevel<string | Uint8Array, …>; it passes an encoding with every call.
    const store = level as unknown as NodeStore;
    await store.open();
    opened.push(store);
    return store;
  };
  try {
    return { chain: await open("chain"), state: await open("state"), meta: await open("meta") };
  } catch (error) {
    for (const store of opened) await store.close();
    throw refusalIn(error) ?? error;
  }
}

/** What abstract-level's LEVEL_DATABASE_NOT_OPEN was caused by, when that is the key. */
function refusalIn(error: unknown): StoreKeyRefused | undefined {
  const cause = error instanceof Error ? error.cause : undefined;
  if (!(cause instanceof LevelError)) return undefined;
  return refusals.has(cause.code) ? new StoreKeyRefused(cause.message, { cause }) : undefined;
}
