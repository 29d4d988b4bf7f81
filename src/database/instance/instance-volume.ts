import { existsSync } from "node:fs";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { refuseUnlessClaimable } from "../../volume/creation.ts";
import { volumeDriver } from "../../volume/drivers.ts";
import { VolumeError } from "../../volume/errors.ts";
import type { KeyHolder } from "../../volume/key-holder.ts";
import { placePaths } from "../../volume/place.ts";
import { connectSealfsControl } from "../../volume/sealfs/control/client.ts";
import type { SealfsControl } from "../../volume/sealfs/control/control.ts";
import type { OpenVolume } from "../../volume/volume.ts";
import { rulesOf } from "../catalogue/zone-rules.ts";
import { DatabaseError } from "../errors.ts";
import { InstanceEnvelopes } from "../gm/instance-envelopes.ts";
import type { DatabaseSettings } from "../settings.ts";
import { type InstancePaths, instanceFileNames } from "./instance-folder.ts";
import { readLockedTable } from "./locked-status.ts";
import { findInstanceKey, type KeySources, keepInstanceKey, keyForNewInstance } from "./settle-key.ts";

/** The volume of an instance while it is open. */
export interface InstanceVolume {
  readonly open: OpenVolume;
  readonly control: SealfsControl;
  /** Its root, where it is mounted. */
  readonly root: string;
}

const volumeParameters = { blockSize: "16384", integrity: "tree", names: "encrypted" } as const;
/** Until influxd, which has ended, and whoever looks into the volume have let go of it. */
const closePatienceMs = 10_000;

/**
 * The key of an instance's volume; an instance that is not there yet is made.
 *
 * @returns `made`: by this call. The caller disposes of the key.
 * @throws {DatabaseError} As {@link findInstanceKey}. @throws {VolumeError} When the folder holds other files, or no volume can be made.
 */
export async function settleInstance(
  sources: KeySources,
  cipher: DatabaseSettings["cipher"],
): Promise<{ readonly key: SecretBuffer; readonly made: boolean }> {
  const { paths, holder } = sources;
  const place = { folder: paths.folder };
  if (existsSync(placePaths(place).headerFile)) {
    return { key: await findInstanceKey(sources), made: false };
  }
  refuseOtherFiles(paths);
  const key = await keyForNewInstance(sources);
  try {
    // Before anything is sealed under it.
    keepInstanceKey(key, sources);
    const driver = await volumeDriver("sealfs");
    await driver.create(place, key, {
      suite: cipher === "sm4-gcm" ? "sm" : "intl",
      parameters: volumeParameters,
      zones: { rules: rulesOf([]), ownZone: "table-sealed", ...(holder === undefined ? {} : { keyHolder: holder }) },
      besides: instanceFileNames,
    });
    return { key, made: true };
  } catch (error) {
    key[Symbol.dispose]();
    throw error;
  }
}

/** Before a key is put beside them. */
function refuseOtherFiles(paths: InstancePaths): void {
  try {
    refuseUnlessClaimable(placePaths(paths), instanceFileNames);
  } catch (cause) {
    if (!(cause instanceof VolumeError) || cause.code !== "VOLUME_PLACE_NOT_EMPTY") throw cause;
    throw new VolumeError(
      cause.code,
      `there is no database instance in ${paths.folder}, and other files are: name the instance's folder, or an empty or new one for a new instance`,
      cause,
    );
  }
}

/**
 * Opens an instance's volume. Where none of its databases is encrypted yet, the key table takes over whose master key it is; so
 * the files of the key are made to agree with the settings only when the volume has been opened.
 *
 * @param key - Stays the caller's.
 * @param onDamage - Told what is found damaged, in words that name no content.
 * @throws {VolumeError} @throws {KeyTableError} When the key table is damaged.
 */
export async function openInstanceVolume(
  sources: KeySources,
  key: SecretBuffer,
  onDamage: (what: string) => void,
): Promise<InstanceVolume> {
  const { paths, holder } = sources;
  const place = { folder: paths.folder };
  const driver = await volumeDriver("sealfs");
  // What a server prints that does not come to serve is why; the error says it.
  const early: string[] = [];
  let isOpen = false;
  const opening = driver.open(place, key, {
    onDamage: (what) => (isOpen ? onDamage(what) : early.push(what)),
    // Without the master key, influxd could not start over encrypted databases that it sees and cannot read.
    ...(holder === undefined ? { hideLocked: true } : { keyHolder: holder }),
  });
  const open = await opening.catch(async (error: unknown) => {
    // What the server ended of, with the code of its own.
    (await readLockedTable(paths, key)).close();
    throw error;
  });
  isOpen = true;
  for (const what of early) onDamage(what);
  try {
    const control = await connectSealfsControl(place);
    if (holder !== undefined) await refuseOtherWrapping(control, holder);
    keepInstanceKey(key, sources);
    // Where a change of the master key was completed, the envelope of the former one goes.
    if (holder !== undefined) new InstanceEnvelopes(paths).settle(holder.publicKey);
    return { open, control, root: placePaths(place).root };
  } catch (error) {
    await open.close({ whenBusy: "cutOff" });
    throw error;
  }
}

export async function closeInstanceVolume({ open, control }: InstanceVolume): Promise<void> {
  await control[Symbol.asyncDispose]();
  await open.close({ patienceMs: closePatienceMs, whenBusy: "cutOff" });
}

/** Sub-keys of encrypted databases must never be made under anything but the master key. */
async function refuseOtherWrapping(control: SealfsControl, { publicKey }: KeyHolder): Promise<void> {
  const { publicKey: found } = await control.keys();
  if (found !== publicKey.toString("hex"))
    throw new DatabaseError(
      "MASTER_KEY_MISMATCH",
      "the key table of the instance is not under the configured master key",
    );
}
