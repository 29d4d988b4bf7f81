import { existsSync } from "node:fs";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { suites } from "../../crypto/suite.ts";
import { verifyVolumeHeader } from "../../volume/header.ts";
import { readHeaderFile } from "../../volume/header-file.ts";
import { placePaths } from "../../volume/place.ts";
import type { KeyTable } from "../../volume/sealfs/keys/key-table.ts";
import { keysReport } from "../../volume/sealfs/keys/keys-report.ts";
import { openKeyTable } from "../../volume/sealfs/keys/open-table.ts";
import { deriveVolumeKey } from "../../volume/sub-key.ts";
import { DatabaseError } from "../errors.ts";
import type { InstancePaths } from "./instance-folder.ts";
import { findInstanceKey, type KeySources } from "./settle-key.ts";
import { databasesOf, type InstanceStatus, masterKeySince } from "./status.ts";

const tableKeyBytes = 32;

/**
 * What the key table of an instance that nobody serves tells. Changes nothing, and mounts nothing.
 *
 * @throws {DatabaseError} `INSTANCE_ABSENT`, and as {@link findInstanceKey}. @throws {VolumeError} @throws {KeyTableError}
 */
export async function lockedStatus(sources: KeySources): Promise<InstanceStatus> {
  const { envelopeFile } = sources.paths;
  refuseAbsent(sources.paths);
  using key = await findInstanceKey(sources);
  const table = await readLockedTable(sources.paths, key);
  try {
    const report = keysReport(table);
    const since = await masterKeySince(envelopeFile);
    return {
      state: "locked",
      cipher: report.suite === "sm" ? "sm4-gcm" : "aes-256-gcm",
      ...(report.publicKey === undefined ? {} : { masterKey: report.publicKey }),
      ...(since === undefined ? {} : { masterKeySince: since }),
      databases: databasesOf(report, table.rules.rules),
    };
  } finally {
    table.close();
  }
}

/** @throws {DatabaseError} `INSTANCE_ABSENT`. */
export function refuseAbsent({ folder }: InstancePaths): void {
  if (existsSync(placePaths({ folder }).headerFile)) return;
  throw new DatabaseError("INSTANCE_ABSENT", `there is no database instance in ${folder}`, {
    hint: "strongroom db serve makes one; an instance elsewhere is named by data of [database] (--data)",
  });
}

/**
 * The key table of an instance that nobody serves, authenticated whole, to be read.
 *
 * @returns The caller closes it. @throws {VolumeError} @throws {KeyTableError}
 */
export async function readLockedTable({ folder }: InstancePaths, instanceKey: SecretBuffer): Promise<KeyTable> {
  const place = placePaths({ folder });
  const description = verifyVolumeHeader(readHeaderFile(place), instanceKey);
  using tableKey = deriveVolumeKey(description, instanceKey, "table-key", tableKeyBytes);
  const volumeId = Buffer.from(description.volumeId.replaceAll("-", ""), "hex");
  const suite = suites[description.suite];
  return await openKeyTable({ folder: place.store, volumeId, suite, tableKey }, { readOnly: true });
}
