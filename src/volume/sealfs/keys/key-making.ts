import { kernelRandomBytes } from "../../../crypto/kernel-random.ts";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { KeyTableError } from "./errors.ts";
import { nameOf, zoneWithKeys } from "./find-keys.ts";
import type { TableRecord } from "./records.ts";
import type { TableEnvelopes } from "./table-envelopes.ts";
import type { TableLog } from "./table-log.ts";
import { maxGenerationsPerZone, maxZones, type Zone, type ZoneProtection, zoneIdBytes } from "./zone.ts";

/** Where keys are made: what records them, what wraps them, and the time of it. */
export interface KeyMaker {
  readonly records: TableLog;
  readonly envelopes: TableEnvelopes;
  readonly madeAtMs: number;
}

/** As `KeyTable.makeZone`. */
export function makeZone(
  { records, envelopes, madeAtMs }: KeyMaker,
  path: readonly string[],
  protection: ZoneProtection,
): { readonly zone: Zone; readonly key?: SecretBuffer } {
  const before = records.state.zoneMadeFor(path);
  if (before !== undefined && !before.destroyed) throw new KeyTableError("ZONE_EXISTS");
  if (records.state.zoneCount >= maxZones)
    throw new KeyTableError("KEY_TABLE_LIMIT", `a volume has at most ${maxZones} zones; remove folders first`);
  const removal: TableRecord[] = before === undefined ? [] : [{ type: "zoneRemoved", zoneId: before.zoneId }];
  const fresh = { zoneId: kernelRandomBytes(zoneIdBytes), protection, path, destroyed: false };
  if (protection === "plain") {
    const zone: Zone = { ...fresh, madeAtMs, highestGeneration: 0, generations: [] };
    records.append([...removal, { type: "zoneMade", ...zone }]);
    return { zone };
  }
  const { key, ...wrapped } = envelopes.fresh(fresh, 1);
  try {
    const generations = [{ generation: 1, retired: false, madeAtMs, ...wrapped }];
    const zone: Zone = { ...fresh, madeAtMs, highestGeneration: 1, generations };
    records.append([...removal, { type: "zoneMade", ...zone }]);
    return { zone, key };
  } catch (error) {
    key[Symbol.dispose]();
    throw error;
  }
}

/** As `KeyTable.addGeneration`. */
export function addGeneration(
  { records, envelopes, madeAtMs }: KeyMaker,
  zoneId: Buffer,
): { readonly generation: number; readonly key: SecretBuffer } {
  const zone = zoneWithKeys(records.state, zoneId);
  if (zone.generations.length >= maxGenerationsPerZone)
    throw new KeyTableError(
      "KEY_TABLE_LIMIT",
      `the zone ${nameOf(zone)} has ${maxGenerationsPerZone} generations; destroy old ones first`,
    );
  const generation = zone.highestGeneration + 1;
  const { key, ...wrapped } = envelopes.fresh(zone, generation);
  try {
    records.append([{ type: "generationAdded", zoneId, generation, madeAtMs, ...wrapped }]);
    return { generation, key };
  } catch (error) {
    key[Symbol.dispose]();
    throw error;
  }
}
