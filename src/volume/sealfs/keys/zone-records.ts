import type { BodyReader, BodyWriter } from "./body.ts";
import { damaged } from "./errors.ts";
import { type Generation, maxGenerationsPerZone, type Zone, type ZoneProtection } from "./zone.ts";

export const maxEnvelopeBytes = 1024;
const maxQuickBytes = 128;
const noQuick = Buffer.alloc(0);
/** What one record of several zones holds, roughly. */
const bytesTogether = 64 * 1024;
const mostTogether = 4096;

export const protectionBytes: Readonly<Record<ZoneProtection, number>> = { sealed: 1, "table-sealed": 2, plain: 3 };
export const protections = { 1: "sealed", 2: "table-sealed", 3: "plain" } as const;
const flags = { 0: false, 1: true } as const;

/** A record of many zones, of which a table that is written anew consists: each record costs a seal and an opening. */
export interface ZonesRecord {
  readonly type: "zones";
  readonly zones: readonly Zone[];
}

/** As few records as hold all these zones. */
export function zoneRecords(zones: Iterable<Zone>): readonly ZonesRecord[] {
  const records: ZonesRecord[] = [];
  let together: Zone[] = [];
  let bytes = 0;
  for (const zone of zones) {
    together.push(zone);
    bytes += zone.path.reduce((sum, name) => sum + name.length + 1, 64);
    for (const { envelope, quick = noQuick } of zone.generations) bytes += envelope.length + quick.length + 16;
    if (bytes < bytesTogether && together.length < mostTogether) continue;
    records.push({ type: "zones", zones: together });
    together = [];
    bytes = 0;
  }
  if (together.length > 0) records.push({ type: "zones", zones: together });
  return records;
}

export function writeZones(body: BodyWriter, zones: readonly Zone[]): void {
  body.u16(zones.length);
  for (const zone of zones) writeZone(body, zone);
}

export function readZones(body: BodyReader): readonly Zone[] {
  const count = body.u16();
  if (count > mostTogether) throw damaged("a record has too many zones");
  return Array.from({ length: count }, () => readZone(body));
}

export function writeZone(body: BodyWriter, zone: Zone): void {
  body.fixed(zone.zoneId).u8(protectionBytes[zone.protection]).path(zone.path).time(zone.madeAtMs);
  body.u8(zone.destroyed ? 1 : 0).u32(zone.highestGeneration);
  body.u8(zone.generations.length);
  for (const { generation, retired, madeAtMs, envelope, quick } of zone.generations) {
    body
      .u32(generation)
      .u8(retired ? 1 : 0)
      .time(madeAtMs)
      .bytes(envelope);
    writeQuick(body, quick);
  }
}

export function readZone(body: BodyReader): Zone {
  return {
    zoneId: body.zoneId(),
    protection: body.oneOf(protections),
    path: body.path(),
    madeAtMs: body.time(),
    destroyed: body.oneOf(flags),
    highestGeneration: body.u32(),
    generations: readGenerations(body),
  };
}

export function readEnvelope(body: BodyReader): Buffer {
  return body.bytes(1, maxEnvelopeBytes);
}

/** What {@link writeQuick} wrote. */
export function readQuick(body: BodyReader): { readonly quick?: Buffer } {
  const quick = body.bytes(0, maxQuickBytes);
  return quick.length === 0 ? {} : { quick };
}

/** A key under the quick key, which not every generation has. */
export function writeQuick(body: BodyWriter, quick: Buffer | undefined): void {
  body.bytes(quick ?? noQuick);
}

function readGenerations(body: BodyReader): readonly Generation[] {
  const count = body.u8();
  if (count > maxGenerationsPerZone) throw damaged("a zone has too many key generations");
  const generations: Generation[] = [];
  for (let i = 0; i < count; i++)
    generations.push({
      generation: body.u32(),
      retired: body.oneOf(flags),
      madeAtMs: body.time(),
      envelope: readEnvelope(body),
      ...readQuick(body),
    });
  return generations;
}
