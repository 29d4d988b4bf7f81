import { join } from "node:path";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { readVolumeHeader, verifyVolumeHeader } from "../../volume/header.ts";
import { readHeaderFile } from "../../volume/header-file.ts";
import { placePaths } from "../../volume/place.ts";
import { tableFileNames } from "../../volume/sealfs/keys/table-file.ts";
import { nodeTableSystem } from "../../volume/sealfs/keys/table-system.ts";
import { deriveVolumeKey } from "../../volume/sub-key.ts";
import { InstanceEnvelopes } from "../gm/instance-envelopes.ts";
import { readEnvelopes } from "../gm/table-contents.ts";
import type { InstancePaths } from "../instance/instance-folder.ts";
import { openInstanceEnvelope } from "../instance/instance-key.ts";
import { readMasterRecord } from "./master-record.ts";
import type { OpenedKeyHolder } from "./opened-holder.ts";
import { forgetFormerKeys, nameInSettings } from "./rotate-master.ts";
import { type RotationJournal, readRotationJournal, removeRotationJournal } from "./rotation-journal.ts";

/**
 * `settled`: the settings that the holder was opened with are the right ones. `settings-changed`: the change of the master key had come into
 * force, and now the settings name the new key: they are to be read again, and the holder opened anew.
 */
export type RotationOutcome = "settled" | "settings-changed";

/**
 * Ends a change of the master key that was interrupted: nobody serves the instance, and its lock is held. Where the volume's key
 * table is under the new key, the envelope of the instance key and the settings follow it; where it is not, the former key
 * stays in force, and a new change may begin.
 *
 * @param holder - Opened with the settings as they are.
 * @throws {DatabaseError} `INSTANCE_DAMAGED`, `MASTER_KEY_MISMATCH`, `ENVELOPE_TABLE_DAMAGED`, `SETTINGS_INVALID`. @throws {VolumeError}
 */
export async function settleRotation(paths: InstancePaths, holder: OpenedKeyHolder): Promise<RotationOutcome> {
  const journal = readRotationJournal(paths);
  if (journal === undefined) return "settled";
  const envelopes = new InstanceEnvelopes(paths);
  const own = envelopes.to(holder.publicKey);
  // Of neither key: what comes next says so.
  if (own === undefined) return "settled";
  using key = await openInstanceEnvelope(own, holder);
  const inForce = masterKeyOf(paths, key);
  if (inForce?.equals(journal.to) !== true) {
    removeRotationJournal(paths);
    return "settled";
  }
  if (!holder.publicKey.equals(journal.to)) return followJournal(paths, journal);
  envelopes.settle(journal.to);
  forgetFormerKeys(paths, journal.to);
  nodeTableSystem.remove(join(placePaths(paths).store, tableFileNames.previous));
  removeRotationJournal(paths);
  return "settled";
}

/** The settings still name the former key: the journal says what they are to name. */
function followJournal(paths: InstancePaths, { to, settings }: RotationJournal): RotationOutcome {
  const isWithKeyManager = readMasterRecord(paths.folder).some(({ publicKey }) => publicKey.equals(to));
  if (isWithKeyManager) forgetFormerKeys(paths, to);
  else if (settings === undefined) return "settled";
  else nameInSettings(to, settings);
  return "settings-changed";
}

/** The master key that the volume's key table is under. */
function masterKeyOf({ folder }: InstancePaths, instanceKey: SecretBuffer): Buffer | undefined {
  const place = placePaths({ folder });
  const header = readHeaderFile(place);
  if (readVolumeHeader(header).kind !== "sealfs") return undefined;
  using tableKey = deriveVolumeKey(verifyVolumeHeader(header, instanceKey), instanceKey, "table-key", 32);
  return readEnvelopes("table", { folder: place.store, tableKey, system: nodeTableSystem })?.publicKey;
}
