import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { syncFolder, writeDurably } from "../../files/durable-file.ts";
import { placePaths } from "../../volume/place.ts";
import type { ImportedOwners } from "../../volume/transfer/entry-attributes.ts";
import type { VolumeTransfer } from "../../volume/transfer/export-volume.ts";
import { importVolume } from "../../volume/transfer/import-volume.ts";
import { DatabaseError } from "../errors.ts";
import type { OpenedKeyHolder } from "../holder/opened-holder.ts";
import { type InstancePaths, instanceFileNames, makeInstanceFolder } from "../instance/instance-folder.ts";
import { findInstanceKey, keepInstanceKey } from "../instance/settle-key.ts";
import type { MetadataKeySettings } from "../settings.ts";
import { lockInstance } from "./backup.ts";
import {
  type BackedUpFiles,
  backedUpFiles,
  damagedBackup,
  decodePreludeBody,
  fixedBytes,
  preludeBodyBytes,
} from "./backup-prelude.ts";

export interface Restoring {
  /** The new instance's folder, new or empty. */
  readonly folder: string;
  readonly metadataKey: MetadataKeySettings;
  /**
   * Opens the master key that the backup is under. Called once the files that came with the backup are in the folder: with a key
   * manager, the master key is among them. Undefined without the settings of encryption.
   */
  readonly openHolder: (() => Promise<OpenedKeyHolder | undefined>) | undefined;
  /** @defaultValue `keep` */
  readonly owners?: ImportedOwners;
}

/**
 * Makes an instance of a backup. The master key alone is enough; without one, the instance key has to be in the file that the
 * settings name. Refused, or killed, before the whole backup has proved authentic and lies on the disk, it leaves no instance.
 *
 * @throws {DatabaseError} `BACKUP_DAMAGED`, `INSTANCE_BUSY`, `INSTANCE_KEY_ABSENT`, `MASTER_KEY_MISMATCH`, `ENVELOPE_REFUSED`.
 * @throws {VolumeError} As `importVolume`.
 */
export async function restoreInstance(
  stream: AsyncIterable<Uint8Array>,
  restoring: Restoring,
): Promise<VolumeTransfer> {
  const { folder, metadataKey, openHolder, owners = "keep" } = restoring;
  const source = new Pieces(stream);
  const files = decodePreludeBody(await source.take(preludeBodyBytes(await source.take(fixedBytes))));
  const paths = makeInstanceFolder(folder);
  const lock = await lockInstance(paths);
  try {
    if (existsSync(placePaths(paths).headerFile))
      throw new DatabaseError("INSTANCE_BUSY", `${paths.folder} is an instance already; choose another folder`);
    clear(paths);
    try {
      for (const [name, bytes] of files) writeDurably(join(paths.folder, name), bytes);
      await using holder = await openHolder?.();
      using key = await keyOf(paths, files, metadataKey, holder);
      const transfer = await importVolume(paths, key, source.rest(), {
        kind: "sealfs",
        owners,
        besides: instanceFileNames,
      });
      keepInstanceKey(key, { paths, metadataKey, holder });
      return transfer;
    } catch (error) {
      if (!existsSync(placePaths(paths).headerFile)) clear(paths);
      throw error;
    }
  } finally {
    lock.abandon();
  }
}

function keyOf(
  paths: InstancePaths,
  files: BackedUpFiles,
  metadataKey: MetadataKeySettings,
  holder: OpenedKeyHolder | undefined,
): Promise<SecretBuffer> {
  if (!files.has("instance.envelope") && metadataKey.in === "master")
    throw new DatabaseError("INSTANCE_KEY_ABSENT", "the backup is of an instance without a master key", {
      hint: "put its instance.key into a file, and name it by metadata-key-file",
    });
  return findInstanceKey({ paths, metadataKey, holder });
}

/** Of a restoring that did not come to its end. */
function clear(paths: InstancePaths): void {
  for (const name of backedUpFiles)
    for (const file of [name, `${name}.tmp`]) rmSync(join(paths.folder, file), { force: true });
  syncFolder(paths.folder);
}

/** A stream's bytes: some at its beginning, and then the rest as it comes. */
class Pieces {
  readonly #stream: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#stream = stream[Symbol.asyncIterator]();
  }

  /** @throws {DatabaseError} `BACKUP_DAMAGED` when there are fewer. */
  async take(count: number): Promise<Buffer> {
    while (this.#held.length < count) {
      const next = await this.#stream.next();
      if (next.done === true) throw damagedBackup("it is cut");
      this.#held = Buffer.concat([this.#held, next.value]);
    }
    const taken = this.#held.subarray(0, count);
    this.#held = this.#held.subarray(count);
    return taken;
  }

  async *rest(): AsyncIterable<Uint8Array> {
    if (this.#held.length > 0) yield this.#held;
    for (let next = await this.#stream.next(); next.done !== true; next = await this.#stream.next()) yield next.value;
  }
}
