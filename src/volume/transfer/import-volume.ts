import { chmodSync, existsSync, mkdirSync } from "node:fs";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { writeDurably } from "../../files/durable-file.ts";
import { abortCreation, beginCreation, endCreation, preparePlace, refuseUnlessClaimable } from "../creation.ts";
import { volumeStore } from "../drivers.ts";
import { VolumeError } from "../errors.ts";
import { OwnerLock } from "../owner-lock.ts";
import { settleParameters } from "../parameters.ts";
import type { PlacePaths } from "../place.ts";
import { FsError } from "../sealfs/fs-error.ts";
import { openFolder, withReadable } from "../sealfs/system/backing-folder.ts";
import { systemCall } from "../sealfs/system/calls.ts";
import { syncFileSystem } from "../sealfs/system/space.ts";
import type { VolumeKind, VolumePlace } from "../volume.ts";
import { ByteSource } from "./byte-source.ts";
import type { ImportedOwners } from "./entry-attributes.ts";
import { ExportReader } from "./export-stream.ts";
import { asVolumeError, refuseUnexported, type VolumeTransfer } from "./export-volume.ts";
import { readTree } from "./write-tree.ts";

export interface ImportOptions {
  /** Refuses an export of another kind. */
  readonly kind?: VolumeKind;
  /** @defaultValue `keep` */
  readonly owners?: ImportedOwners;
  /** Names of files in the place that are its owner's, and stay. */
  readonly besides?: readonly string[];
}

/**
 * Makes a locked volume of an export, in a new or empty folder, under the data key that the exported one had. The header is written
 * last, once the whole stream has proved authentic and lies on the disk: refused or killed before, there is no volume, and the
 * next creation or import clears what was made.
 *
 * @throws {VolumeError} `VOLUME_EXPORT_DAMAGED`, `VOLUME_WRONG_KEY`, `VOLUME_KIND_MISMATCH`, `VOLUME_UNSUPPORTED`, `VOLUME_EXISTS`,
 *   `VOLUME_PLACE_NOT_EMPTY`, `VOLUME_ALREADY_OPEN` (another creation is at work), `VOLUME_SYSTEM`; what the stream fails with
 *   passes through.
 */
export async function importVolume(
  at: VolumePlace,
  dataKey: SecretBuffer,
  stream: AsyncIterable<Uint8Array>,
  { kind, owners = "keep", besides = [] }: ImportOptions = {},
): Promise<VolumeTransfer> {
  using reader = await ExportReader.begin(new ByteSource(stream), dataKey);
  const { description, header } = reader;
  if (kind !== undefined && kind !== description.kind)
    throw new VolumeError("VOLUME_KIND_MISMATCH", `the export is of a ${description.kind} volume, not ${kind}`);
  refuseUnexported(description.kind);
  const store = await volumeStore(description.kind);
  settleParameters(store, description.suite, description.parameters);
  const place = preparePlace(at, besides);
  const lock = await OwnerLock.acquire(place.lockFile, true);
  try {
    refuseUnlessClaimable(place, besides);
    beginCreation(place);
    mkdirSync(place.store, { mode: 0o700 });
    const summary = await readTree(Buffer.from(place.store).toString("latin1"), reader, owners);
    await store.verifyPresence(place);
    mkdirSync(place.root, { mode: 0o700 });
    syncStore(place);
    writeDurably(place.headerFile, header);
    endCreation(place);
    return { description, ...summary };
  } catch (error) {
    if (existsSync(place.creationMarker) && !existsSync(place.headerFile)) clear(place);
    throw importFailure(error, owners);
  } finally {
    lock.release();
  }
}

function clear(place: PlacePaths): void {
  // The store may have taken a mode by now under which its owner could not remove what is in it.
  if (existsSync(place.store)) chmodSync(place.store, 0o700);
  abortCreation(place);
}

/** The files of a large import are synced at once, not one by one. */
function syncStore({ store }: PlacePaths): void {
  const folder = openFolder(-100, Buffer.from(store).toString("latin1"));
  try {
    withReadable(folder, syncFileSystem);
  } finally {
    systemCall("close", folder);
  }
}

function importFailure(error: unknown, owners: ImportedOwners): unknown {
  if (error instanceof FsError && error.code === "EPERM" && owners === "keep")
    return new VolumeError(
      "VOLUME_SYSTEM",
      `files of the export belong to other users (${error.message}): import it as root, or take them all over (--own); no volume was made`,
      error,
    );
  return asVolumeError(error, "no volume was made, as a file could not be");
}
