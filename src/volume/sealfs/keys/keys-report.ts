import type { KeyTable } from "./key-table.ts";
import type { Generation, GenerationState, Zone, ZoneProtection } from "./zone.ts";

/** One data key, for people and `--json`. */
export interface GenerationReport {
  readonly generation: number;
  readonly state: GenerationState;
  /** ISO 8601. */
  readonly madeAt: string;
  /** Sealed under it, where the caller has counted. */
  readonly sealedBytes?: number;
}

export interface ZoneReport {
  /** 32 hexadecimal characters. */
  readonly zone: string;
  /** From the volume's root; `/` for the volume's own zone. Bytes that are not UTF-8 show as U+FFFD. */
  readonly path: string;
  readonly protection: ZoneProtection;
  readonly destroyed: boolean;
  readonly generations: readonly GenerationReport[];
}

export interface KeysReport {
  readonly suite: "intl" | "sm";
  /** Who wraps the keys of sealed zones. */
  readonly wrappedBy: "table key" | "SM2 key";
  /** `04 ‖ X ‖ Y` in hexadecimal, of an SM2 key. */
  readonly publicKey?: string;
  /** False when sealed zones cannot be read here, for want of the private key. */
  readonly canUnwrap: boolean;
  /** Of the table's last record: for an anchor kept elsewhere. */
  readonly sequence: number;
  /** The last record's tag, in hexadecimal: copies of a table that were changed apart differ in it. */
  readonly link: string;
  readonly zones: readonly ZoneReport[];
}

/**
 * What `strongroom volume keys` shows of a table: every zone by its path, with its generations. Holds no key and no envelope.
 *
 * @param sealedBytes - By zone: bytes sealed under each generation; undefined where they were not counted.
 */
export function keysReport(
  table: KeyTable,
  sealedBytes?: (zoneId: Buffer) => ReadonlyMap<number, number> | undefined,
): KeysReport {
  const { identity, canUnwrap } = table.wrapper;
  const zones = Array.from(table.zones(), (zone) => zoneReport(zone, sealedBytes?.(zone.zoneId)));
  zones.sort((left, right) => (left.path < right.path ? -1 : left.path > right.path ? 1 : 0));
  return {
    suite: table.suite.name,
    ...(identity.kind === "sm2"
      ? { wrappedBy: "SM2 key", publicKey: identity.publicKey.toString("hex") }
      : { wrappedBy: "table key" }),
    canUnwrap,
    sequence: table.head.sequence,
    link: table.head.link.toString("hex"),
    zones,
  };
}

function zoneReport(zone: Zone, sealed: ReadonlyMap<number, number> | undefined): ZoneReport {
  return {
    zone: zone.zoneId.toString("hex"),
    path: `/${Buffer.from(zone.path.join("/"), "latin1").toString("utf8")}`,
    protection: zone.protection,
    destroyed: zone.destroyed,
    generations: zone.generations.map((one) => ({
      generation: one.generation,
      state: generationState(zone, one),
      madeAt: new Date(one.madeAtMs).toISOString(),
      ...(sealed === undefined ? {} : { sealedBytes: sealed.get(one.generation) ?? 0 }),
    })),
  };
}

/** The state of one of a zone's generations. */
export function generationState(zone: Zone, { generation, retired }: Generation): GenerationState {
  if (generation === zone.highestGeneration) return "active";
  return retired ? "retired" : "superseded";
}
