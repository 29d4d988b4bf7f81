import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { type SuiteName, suites } from "../../../../src/crypto/suite.ts";
import { instancePaths } from "../../../../src/database/instance/instance-folder.ts";
import {
  envelopInstanceKey,
  writeInstanceEnvelope,
  writeInstanceKey,
} from "../../../../src/database/instance/instance-key.ts";
import { encodeVolumeHeader } from "../../../../src/volume/header.ts";
import { settleParameters } from "../../../../src/volume/parameters.ts";
import { placePaths } from "../../../../src/volume/place.ts";
import type { KeyWrapper } from "../../../../src/volume/sealfs/keys/key-wrapper.ts";
import { createKeyTable } from "../../../../src/volume/sealfs/keys/open-table.ts";
import { Sm2Wrapper } from "../../../../src/volume/sealfs/keys/sm2-wrapper.ts";
import { volumeIdBytes } from "../../../../src/volume/sealfs/server/opened-volume.ts";
import { storeNames } from "../../../../src/volume/sealfs/server/store-names.ts";
import { sealfsStore } from "../../../../src/volume/sealfs.ts";
import { deriveVolumeKey } from "../../../../src/volume/sub-key.ts";
import type { VolumeDescription } from "../../../../src/volume/volume.ts";

export interface InstanceToMake {
  /** Where the new folder is made. */
  readonly within: string;
  readonly publicKey: Buffer;
  readonly zones: number;
  readonly suite?: SuiteName;
  /** Whether the instance key is in a file as well. @defaultValue `true` */
  readonly keyInFile?: boolean;
}

/** The folder of an instance with so many sealed zones, as `strongroom db serve` leaves it, made without a mount. */
export async function makeStoppedInstance(given: InstanceToMake): Promise<string> {
  const { within, publicKey, zones, suite = "sm", keyInFile = true } = given;
  const folder = mkdtempSync(join(within, "instance-"));
  const [paths, place] = [instancePaths(folder), placePaths({ folder })];
  const description: VolumeDescription = {
    kind: "sealfs",
    volumeId: randomUUID(),
    suite,
    parameters: settleParameters(sealfsStore, suite, {}),
  };
  using key = SecretBuffer.random(32);
  mkdirSync(place.root);
  mkdirSync(join(place.store, storeNames.tree), { recursive: true });
  writeFileSync(place.headerFile, encodeVolumeHeader(description, key), { mode: 0o600 });
  writeInstanceEnvelope(paths.envelopeFile, envelopInstanceKey(key, publicKey));
  if (keyInFile) writeInstanceKey(paths.keyFile, key);
  using tableKey = deriveVolumeKey(description, key, "table-key", 32);
  const wrapper = new MakingWrapper(publicKey);
  const volumeId = volumeIdBytes(description.volumeId);
  using table = await createKeyTable({ folder: place.store, volumeId, suite: suites[suite], tableKey, wrapper });
  for (let shard = 0; shard < zones; shard++)
    table.makeZone(["data", "data", "enc", "autogen", String(shard)], "sealed").key?.[Symbol.dispose]();
  return folder;
}

/** Opens what it has made itself, as the master key would: a table makes no zone that it could not read. */
class MakingWrapper extends Sm2Wrapper implements KeyWrapper {
  readonly #made = new Map<string, SecretBuffer>();

  override get canUnwrap(): boolean {
    return true;
  }

  override wrap(key: SecretBuffer): Buffer {
    const envelope = super.wrap(key);
    this.#made.set(envelope.toString("hex"), key.clone());
    return envelope;
  }

  override unwrap(envelope: Buffer): SecretBuffer {
    return this.#made.get(envelope.toString("hex"))?.clone() ?? super.unwrap(envelope);
  }

  override [Symbol.dispose](): void {
    for (const key of this.#made.values()) key[Symbol.dispose]();
  }
}
