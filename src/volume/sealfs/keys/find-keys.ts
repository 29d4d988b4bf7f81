import { KeyTableError } from "./errors.ts";
import type { TableState } from "./table-state.ts";
import type { Generation, Zone } from "./zone.ts";

/** A zone that has keys. @throws {KeyTableError} `ZONE_ABSENT`, also for a destroyed one; `ZONE_NOT_SEALED`. */
export function zoneWithKeys(state: TableState, zoneId: Buffer): Zone {
  const zone = state.zone(zoneId);
  if (zone === undefined || zone.destroyed) throw new KeyTableError("ZONE_ABSENT");
  if (zone.protection === "plain") throw new KeyTableError("ZONE_NOT_SEALED");
  return zone;
}

/** One of a zone's generations. @throws {KeyTableError} `GENERATION_ABSENT`. */
export function generationOf(zone: Zone, generation: number): Generation {
  const found = zone.generations.find((one) => one.generation === generation);
  if (found === undefined)
    throw new KeyTableError("GENERATION_ABSENT", `the zone ${nameOf(zone)} has no key generation ${generation}`);
  return found;
}

/** A zone's id, for messages: its path may tell what it holds. */
export function nameOf({ zoneId }: Zone): string {
  return zoneId.toString("hex");
}
