import { existsSync, lstatSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { VolumeError } from "../../volume/errors.ts";
import { readVolumeHeader, verifyVolumeHeader } from "../../volume/header.ts";
import { readHeaderFile } from "../../volume/header-file.ts";
import { OwnerLock } from "../../volume/owner-lock.ts";
import { type PlacePaths, placePaths } from "../../volume/place.ts";
import { deriveVolumeKey } from "../../volume/sub-key.ts";
import type { VolumeDescription } from "../../volume/volume.ts";
import { DatabaseError } from "../errors.ts";
import { type InstancePaths, instancePaths } from "../instance/instance-folder.ts";
import { readInstanceKey } from "../instance/instance-key.ts";
import { InstanceEnvelopes } from "./instance-envelopes.ts";
import type { SubKeyOpener } from "./sub-key-envelope.ts";

const tableKeyBytes = 32;

/**
 * The folder of the database instance that a path leads to: the folder itself, its `store`, or a file in either.
 *
 * @returns Undefined when there is none.
 */
export function instanceFolderAt(path: string): string | undefined {
  const isFile = lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;
  const folder = isFile ? dirname(path) : path;
  const candidates = basename(folder) === "store" ? [folder, dirname(folder)] : [folder];
  return candidates.find((each) => existsSync(placePaths({ folder: each }).headerFile));
}

/** A database instance that nobody serves, locked for a change of its keys, with its instance key. */
export class StoppedInstance implements Disposable {
  readonly paths: InstancePaths;
  readonly place: PlacePaths;
  readonly description: VolumeDescription;
  /** The volume's data key. */
  readonly instanceKey: SecretBuffer;
  readonly envelopes: InstanceEnvelopes;
  readonly #locks: readonly OwnerLock[];

  private constructor(
    paths: InstancePaths,
    place: PlacePaths,
    instanceKey: SecretBuffer,
    description: VolumeDescription,
    locks: readonly OwnerLock[],
  ) {
    this.paths = paths;
    this.place = place;
    this.instanceKey = instanceKey;
    this.description = description;
    this.envelopes = new InstanceEnvelopes(paths);
    this.#locks = locks;
  }

  /**
   * @param opener - Of the master key; left out, only `instance.key` is used.
   * @returns Undefined when the volume there is of another kind.
   * @throws {DatabaseError} `ENVELOPE_TABLE_BUSY` while it is served, `ENVELOPE_TABLE_DAMAGED`, `INSTANCE_DAMAGED`,
   *   `MASTER_KEY_MISMATCH` when the instance key is neither in its file nor enveloped to this master key.
   */
  static async lock(folder: string, opener?: SubKeyOpener): Promise<StoppedInstance | undefined> {
    const [paths, place] = [instancePaths(folder), placePaths({ folder })];
    if (asDamage(() => readVolumeHeader(readHeaderFile(place))).kind !== "sealfs") return undefined;
    const locks: OwnerLock[] = [];
    try {
      for (const file of [paths.lockFile, place.lockFile]) locks.push(await lockOf(file));
      const { key, description } = await provenKey(paths, place, opener);
      return new StoppedInstance(paths, place, key, description, locks);
    } catch (error) {
      for (const lock of locks) lock.abandon();
      throw error;
    }
  }

  /** The caller disposes of it. */
  tableKey(): SecretBuffer {
    return deriveVolumeKey(this.description, this.instanceKey, "table-key", tableKeyBytes);
  }

  /** Safe to call twice. */
  [Symbol.dispose](): void {
    this.instanceKey[Symbol.dispose]();
    for (const lock of this.#locks) lock.abandon();
  }
}

async function lockOf(file: string): Promise<OwnerLock> {
  try {
    return await OwnerLock.acquire(file, true);
  } catch (cause) {
    if (!(cause instanceof VolumeError) || cause.code !== "VOLUME_ALREADY_OPEN") throw cause;
    throw new DatabaseError("ENVELOPE_TABLE_BUSY", `the instance is in use: ${cause.message}`, {
      hint: "stop strongroom db serve first; while it runs, use strongroom db rotate-master",
      cause,
    });
  }
}

/** The instance key, from its file or by the master key: whichever opens the volume's header. */
async function provenKey(
  paths: InstancePaths,
  place: PlacePaths,
  opener: SubKeyOpener | undefined,
): Promise<{ readonly key: SecretBuffer; readonly description: VolumeDescription }> {
  const header = asDamage(() => readHeaderFile(place));
  const kept = readInstanceKey(paths.keyFile);
  const found = kept ?? (opener && (await envelopedKey(paths, opener)));
  if (found === undefined)
    throw new DatabaseError(
      "MASTER_KEY_MISMATCH",
      "the instance key is not in its file, and not in an envelope to this master key",
      { hint: "give the master key that the instance was last served with" },
    );
  try {
    return { key: found, description: asDamage(() => verifyVolumeHeader(header, found)) };
  } catch (error) {
    found[Symbol.dispose]();
    throw error;
  }
}

async function envelopedKey(paths: InstancePaths, opener: SubKeyOpener): Promise<SecretBuffer | undefined> {
  const found = new InstanceEnvelopes(paths).to(opener.publicKey);
  return found && (await opener.open(found.envelope));
}

function asDamage<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof VolumeError)) throw cause;
    throw new DatabaseError("ENVELOPE_TABLE_DAMAGED", cause.message, {
      hint: "nothing was changed; restore the instance's folder from a backup",
      cause,
    });
  }
}
