import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { VolumeError } from "../../volume/errors.ts";
import { OwnerLock, processLives, readNote } from "../../volume/owner-lock.ts";
import { placePaths } from "../../volume/place.ts";
import type { ExportSink } from "../../volume/transfer/export-stream.ts";
import { exportVolume, type VolumeTransfer } from "../../volume/transfer/export-volume.ts";
import { DatabaseError } from "../errors.ts";
import type { InstancePaths } from "../instance/instance-folder.ts";
import { readLockedTable, refuseAbsent } from "../instance/locked-status.ts";
import { findInstanceKey, type KeySources } from "../instance/settle-key.ts";
import { type BackedUpFile, backedUpFiles, encodePrelude } from "./backup-prelude.ts";

export interface BackupReport extends VolumeTransfer {
  /** Whether the master key alone opens the backup; otherwise it takes the instance key's file. */
  readonly underMasterKey: boolean;
}

/**
 * Writes a stopped instance as one stream of ciphertext: the envelope of its instance key, and its volume as it lies on the disk.
 * Nothing of it is decrypted, and the instance key in its file is left out. The instance cannot be started while it is read.
 *
 * @param sink - Given the stream in order.
 * @throws {DatabaseError} `INSTANCE_ABSENT`, `INSTANCE_BUSY` while it runs, `INSTANCE_KEY_ABSENT`, `MASTER_KEY_MISMATCH`,
 *   `INSTANCE_DAMAGED`. @throws {KeyTableError} When the key table is damaged.
 * @throws {VolumeError} As `exportVolume`; what the sink rejects with passes through.
 */
export async function backUpInstance(sources: KeySources, sink: ExportSink): Promise<BackupReport> {
  const { paths } = sources;
  refuseAbsent(paths);
  const lock = await lockInstance(paths);
  try {
    using key = await findInstanceKey(sources);
    // A backup with a key table that is damaged would restore, and not start.
    (await readLockedTable(paths, key)).close();
    const files = new Map<BackedUpFile, Buffer>();
    for (const name of backedUpFiles) {
      const bytes = bytesOf(join(paths.folder, name));
      if (bytes !== undefined) files.set(name, bytes);
    }
    let begun = false;
    const transfer = await exportVolume({ folder: paths.folder }, key, async (bytes) => {
      // Not before the key and the volume were found right.
      if (!begun) await sink(encodePrelude(files));
      begun = true;
      await sink(bytes);
    });
    return { ...transfer, underMasterKey: files.has("instance.envelope") };
  } finally {
    lock.abandon();
  }
}

/** @throws {DatabaseError} `INSTANCE_BUSY`. */
export async function lockInstance({ lockFile, folder }: InstancePaths): Promise<OwnerLock> {
  try {
    return await OwnerLock.acquire(lockFile, true);
  } catch (cause) {
    if (!(cause instanceof VolumeError) || cause.code !== "VOLUME_ALREADY_OPEN") throw cause;
    // Who serves an instance has its volume open, and is named there.
    const note = readNote(placePaths({ folder }).lockFile);
    const who = note !== undefined && processLives(note.pid) ? `process ${note.pid}` : "another process";
    throw new DatabaseError("INSTANCE_BUSY", `the instance ${folder} is in use by ${who}`, {
      hint: "stop that strongroom db serve, or wait for the command that works on the instance, and try again",
      cause,
    });
  }
}

function bytesOf(file: string): Buffer | undefined {
  const found = lstatSync(file, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  if (!found.isFile()) throw new DatabaseError("INSTANCE_DAMAGED", `${file} is not a regular file`);
  return readFileSync(file);
}
