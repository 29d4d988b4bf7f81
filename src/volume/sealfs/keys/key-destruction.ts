import { KeyTableError } from "./errors.ts";
import { generationOf, zoneWithKeys } from "./find-keys.ts";
import type { TableLog } from "./table-log.ts";
import type { Generation } from "./zone.ts";

/*
 * How keys end. Each end is one record, and then the file is written anew without the envelopes. Between the two a call may be cut short, by a
 * full disk say: what is gone then has its envelope in the file still, and the same call made again goes on from there.
 */

/** As `KeyTable.retireGeneration`. */
export function retireGeneration(records: TableLog, zoneId: Buffer, generation: number): void {
  if (isDestroyedInPart(records, zoneId, generation)) return;
  const { retired } = olderGeneration(records, zoneId, generation);
  if (!retired) records.append([{ type: "generationRetired", zoneId, generation }]);
}

/** As `KeyTable.destroyGeneration`. */
export function destroyGeneration(records: TableLog, zoneId: Buffer, generation: number, sealedBytes: number): void {
  if (!isDestroyedInPart(records, zoneId, generation)) {
    const { retired } = olderGeneration(records, zoneId, generation);
    if (!retired || sealedBytes !== 0)
      throw new KeyTableError(
        "GENERATION_IN_USE",
        retired
          ? `${sealedBytes} bytes are sealed under generation ${generation}; wait until they are sealed anew`
          : `generation ${generation} is not retired; retire it, have its data sealed anew, and check the volume`,
      );
    records.append([{ type: "generationDestroyed", zoneId, generation }]);
  }
  records.compact();
}

/** As `KeyTable.destroyZone`. */
export function destroyZone(records: TableLog, zoneId: Buffer): void {
  if (records.state.zone(zoneId)?.destroyed !== true) {
    zoneWithKeys(records.state, zoneId);
    records.append([{ type: "zoneDestroyed", zoneId }]);
  }
  records.compact();
}

/** As `KeyTable.removeZone`. The file is written anew when the caller has it settled: folders go by the thousand. */
export function removeZone(records: TableLog, zoneId: Buffer): void {
  const zone = records.state.zone(zoneId);
  if (zone === undefined || zone.path.length === 0) throw new KeyTableError("ZONE_ABSENT");
  records.append([{ type: "zoneRemoved", zoneId }]);
}

function isDestroyedInPart(records: TableLog, zoneId: Buffer, generation: number): boolean {
  if (!records.holdsDestroyed) return false;
  const { generations, highestGeneration } = zoneWithKeys(records.state, zoneId);
  const wasThere = Number.isInteger(generation) && generation >= 1 && generation < highestGeneration;
  return wasThere && !generations.some((one) => one.generation === generation);
}

function olderGeneration(records: TableLog, zoneId: Buffer, generation: number): Generation {
  const zone = zoneWithKeys(records.state, zoneId);
  const found = generationOf(zone, generation);
  if (generation === zone.highestGeneration)
    throw new KeyTableError("GENERATION_IN_USE", `generation ${generation} is the newest of its zone; rotate first`);
  return found;
}
