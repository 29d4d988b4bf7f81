import { existsSync, mkdirSync, readdirSync } from "node:fs";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { SuiteName } from "../../crypto/suite.ts";
import { EncryptedLevel } from "../../level/encrypted-level.ts";
import type { StoreDatabase } from "./chain-store.ts";
import { ChainNodeError } from "./errors.ts";

/** Written by an encrypted level beside its database; tells an encrypted store from a plain one. */
const encryptedMark = /^strongroom/i;

/**
 * Opens the database in a folder: encrypted with a key, plain without. A store stays what it was made as.
 *
 * @param dataKey - Stays the caller's to dispose of.
 * @throws {ChainNodeError} `STORE_KEY_WRONG` for another key; for a key where the store is plain, or none where it is
 *   encrypted; `STORE_DAMAGED` for a folder that is no database.
 */
export async function openDatabase(
  folder: string,
  dataKey: SecretBuffer | undefined,
  suite: SuiteName,
): Promise<StoreDatabase> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const isEncrypted = readdirSync(folder).some((name) => encryptedMark.test(name));
  const isNew = !existsSync(`${folder}/CURRENT`);
  if (!isNew && isEncrypted !== (dataKey !== undefined))
    throw new ChainNodeError(
      "STORE_KEY_WRONG",
      isEncrypted
        ? `${folder} is encrypted: enable storage_security, or start the node by \`strongroom node launch\``
        : `${folder} was made without encryption: move it away and let the node synchronise into a new one`,
    );
  const bytes = { keyEncoding: "buffer", valueEncoding: "buffer" } as const;
  try {
    if (dataKey === undefined) {
      const { ClassicLevel } = await import("classic-level");
      const plain = new ClassicLevel<Buffer, Buffer>(folder, bytes);
      await plain.open();
      return plain;
    }
    const level = new EncryptedLevel<Buffer, Buffer>(folder, { dataKey, ...(isNew ? { suite } : {}), ...bytes });
    await level.open();
    return level as unknown as StoreDatabase;
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const code = (cause as { code?: unknown }).code;
    if (code === "LEVEL_WRONG_KEY")
      throw new ChainNodeError("STORE_KEY_WRONG", `${folder} was made under another data key`, error);
    throw new ChainNodeError("STORE_DAMAGED", `${folder} cannot be opened: ${(cause as Error).message}`, error);
  }
}
