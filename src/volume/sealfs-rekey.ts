import { existsSync } from "node:fs";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { suites } from "../crypto/suite.ts";
import { writeDurably } from "../files/durable-file.ts";
import { anchoredAtKeyManager, type VolumeAnchor } from "./anchor.ts";
import { VolumeError } from "./errors.ts";
import { fuseMountState } from "./fuse-mount.ts";
import { encodeVolumeHeader, verifyVolumeHeader } from "./header.ts";
import { readHeaderFile } from "./header-file.ts";
import { OwnerLock } from "./owner-lock.ts";
import { type PlacePaths, placePaths } from "./place.ts";
import { mountType } from "./sealfs/kernel/mount.ts";
import { KeyTableError } from "./sealfs/keys/errors.ts";
import type { KeyTable } from "./sealfs/keys/key-table.ts";
import { openKeyTable } from "./sealfs/keys/open-table.ts";
import { Sm2Wrapper } from "./sealfs/keys/sm2-wrapper.ts";
import { deriveVolumeKey } from "./sub-key.ts";
import type { VolumeDescription, VolumePlace } from "./volume.ts";

const tableKeyBytes = 32;
const keysAtOnce = 2048;

/**
 * Puts a locked sealfs volume under another data key: every key in its table is wrapped anew, and what was destroyed before opens under
 * the old data key nowhere but in older copies of the table, for which the caller destroys the old data key, with every copy of it.
 * Envelopes to a master key stay as they are; contents are not touched.
 *
 * The order: the new table is made beside the old one and put in its place by one rename; then the header is written anew. Killed at any
 * moment it is to be called again with both keys, as often as need be, before the old one is destroyed; between rename and header neither
 * key alone opens the volume.
 *
 * @param anchor - Of a volume that has one: asked first, since what is written anew is above every older copy.
 * @throws {VolumeError} `VOLUME_ROLLED_BACK` by its anchor; `VOLUME_PARAMETER_INVALID` without the anchor that the volume has;
 *   `VOLUME_WRONG_KEY` when neither key is the volume's, `VOLUME_ABSENT`, `VOLUME_KIND_MISMATCH`,
 *   `VOLUME_ALREADY_OPEN`, `VOLUME_HEADER_INVALID`.
 * @throws {KeyTableError} When the key table cannot be read or replaced; the old one is then in use.
 */
export async function rekeyVolume(
  at: VolumePlace,
  oldDataKey: SecretBuffer,
  newDataKey: SecretBuffer,
  anchor?: VolumeAnchor,
): Promise<VolumeDescription> {
  const place = placePaths(at);
  const lock = await holdLocked(place);
  try {
    const { description, isNew } = verifiedByEither(place, oldDataKey, newDataKey);
    if (description.kind !== "sealfs")
      throw new VolumeError("VOLUME_KIND_MISMATCH", `${place.folder} is a ${description.kind} volume, not sealfs`);
    if (description.parameters.anchor === anchoredAtKeyManager && anchor === undefined)
      throw new VolumeError(
        "VOLUME_PARAMETER_INVALID",
        `the volume at ${place.folder} has its state kept at a key manager: re-key it with the node it belongs to`,
      );
    await rekeyTable(place, description, oldDataKey, newDataKey, anchor);
    if (!isNew) writeDurably(place.headerFile, encodeVolumeHeader(description, newDataKey));
    return description;
  } finally {
    lock.abandon();
  }
}

/**
 * For who has a new data key still to be made: not for a volume that {@link rekeyVolume} would refuse.
 *
 * @throws {VolumeError} `VOLUME_ABSENT`, `VOLUME_ALREADY_OPEN`.
 */
export async function refuseUnlessLocked(at: VolumePlace): Promise<void> {
  const lock = await holdLocked(placePaths(at));
  lock.abandon();
}

/** The lock of a volume that nobody has open; to be abandoned. */
async function holdLocked(place: PlacePaths): Promise<OwnerLock> {
  if (!existsSync(place.headerFile)) throw new VolumeError("VOLUME_ABSENT", `there is no volume at ${place.folder}`);
  const lock = await OwnerLock.acquire(place.lockFile, true);
  try {
    if ((await fuseMountState(place.root, mountType)) === "closed") return lock;
    throw new VolumeError("VOLUME_ALREADY_OPEN", `the volume at ${place.folder} was left open; close it first`);
  } catch (error) {
    lock.abandon();
    throw error;
  }
}

function verifiedByEither(
  place: PlacePaths,
  oldDataKey: SecretBuffer,
  newDataKey: SecretBuffer,
): { readonly description: VolumeDescription; readonly isNew: boolean } {
  const file = readHeaderFile(place);
  try {
    return { description: verifyVolumeHeader(file, newDataKey), isNew: true };
  } catch (error) {
    if (!(error instanceof VolumeError) || error.code !== "VOLUME_WRONG_KEY") throw error;
    return { description: verifyVolumeHeader(file, oldDataKey), isNew: false };
  }
}

async function rekeyTable(
  place: PlacePaths,
  description: VolumeDescription,
  oldDataKey: SecretBuffer,
  newDataKey: SecretBuffer,
  anchor: VolumeAnchor | undefined,
): Promise<void> {
  using oldKey = deriveVolumeKey(description, oldDataKey, "table-key", tableKeyBytes);
  using newKey = deriveVolumeKey(description, newDataKey, "table-key", tableKeyBytes);
  const table = await openUnlessNew(place, description, oldKey, newKey);
  if (table === undefined) return;
  try {
    if (description.parameters.anchor === anchoredAtKeyManager) await anchor?.check(description.volumeId, table.head);
    const { identity } = table.wrapper;
    using rekey = table.beginRekey(newKey, identity.kind === "sm2" ? new Sm2Wrapper(identity.publicKey) : undefined);
    if (identity.kind === "sm2")
      for (let waiting = rekey.waiting(keysAtOnce); waiting.length > 0; waiting = rekey.waiting(keysAtOnce))
        rekey.stage(waiting);
    rekey.finish();
  } finally {
    table.close();
  }
}

/** The table under the old key; undefined when it lies under the new one already. */
async function openUnlessNew(
  { store }: PlacePaths,
  { volumeId, suite }: VolumeDescription,
  oldKey: SecretBuffer,
  newKey: SecretBuffer,
): Promise<KeyTable | undefined> {
  const table = { folder: store, volumeId: Buffer.from(volumeId.replaceAll("-", ""), "hex"), suite: suites[suite] };
  try {
    return await openKeyTable({ ...table, tableKey: oldKey });
  } catch (error) {
    if (!(error instanceof KeyTableError) || error.code !== "KEY_TABLE_WRONG_KEY") throw error;
    (await openKeyTable({ ...table, tableKey: newKey }, { readOnly: true })).close();
    return undefined;
  }
}
