import { BodyReader, BodyWriter } from "./body.ts";
import { damaged } from "./errors.ts";
import { maxPatternBytes, maxRules, type ZoneRule } from "./rules.ts";
import { bootIdBytes, SessionLog } from "./sessions.ts";
import type { Zone } from "./zone.ts";
import {
  protectionBytes,
  protections,
  readEnvelope,
  readQuick,
  readZone,
  readZones,
  writeQuick,
  writeZone,
  writeZones,
  type ZonesRecord,
} from "./zone-records.ts";

/** Who wraps the data keys of `sealed` zones: the table key itself, or an SM2 public key. */
export type WrapperIdentity =
  | { readonly kind: "table-key" }
  /** `04 ‖ X ‖ Y`, 65 bytes. */
  | { readonly kind: "sm2"; readonly publicKey: Buffer };

/** What a key table is made of; {@link TableState} says which order makes sense. */
export type TableRecord =
  | { readonly type: "wrapping"; readonly wrapper: WrapperIdentity }
  /** The secret that the names, links and attributes of the volume are bound and sealed with. */
  | { readonly type: "namesKey"; readonly envelope: Buffer }
  /** The key, wrapped by the master key, under which the data keys of sealed zones lie once more. */
  | { readonly type: "quickKey"; readonly envelope: Buffer }
  /** All rules, instead of those before. */
  | { readonly type: "rules"; readonly rules: readonly ZoneRule[] }
  | ({ readonly type: "zoneMade" } & Zone)
  | ZonesRecord
  | {
      readonly type: "generationAdded";
      readonly zoneId: Buffer;
      readonly generation: number;
      readonly madeAtMs: number;
      readonly envelope: Buffer;
      readonly quick?: Buffer;
    }
  | { readonly type: "generationRetired"; readonly zoneId: Buffer; readonly generation: number }
  | { readonly type: "generationDestroyed"; readonly zoneId: Buffer; readonly generation: number }
  /** The zone's keys are gone, its folder may be there. */
  | { readonly type: "zoneDestroyed"; readonly zoneId: Buffer }
  /** The zone's folder is gone: nothing of it is left. */
  | { readonly type: "zoneRemoved"; readonly zoneId: Buffer }
  /** Of a re-wrapping under way: a generation's key in its new envelope. */
  | {
      readonly type: "rewrapped";
      readonly zoneId: Buffer;
      readonly generation: number;
      /** The suite's hash of the envelope that it replaces, 32 bytes. */
      readonly replaces: Buffer;
      readonly envelope: Buffer;
    }
  /** Of a table that is written anew: all sessions so far. */
  | { readonly type: "sessions"; readonly log: SessionLog }
  /** The volume is served from now on. */
  | { readonly type: "sessionBegun"; readonly session: number; readonly bootId: Buffer }
  /** In good order. */
  | { readonly type: "sessionEnded"; readonly session: number }
  /** What the sessions up to this one have left behind is settled. */
  | { readonly type: "sessionsSettled"; readonly session: number };

export type RecordType = TableRecord["type"];

/** True for a record that says that keys are gone, whose envelopes are in records before it. */
export function isDestruction({ type }: TableRecord): boolean {
  return type === "zoneRemoved" || type === "zoneDestroyed" || type === "generationDestroyed";
}

/** The byte of each type in the file. */
export const recordTypes: Readonly<Record<RecordType, number>> = {
  wrapping: 1,
  namesKey: 2,
  rules: 3,
  zoneMade: 4,
  generationAdded: 5,
  generationRetired: 6,
  generationDestroyed: 7,
  zoneDestroyed: 8,
  zoneRemoved: 9,
  rewrapped: 10,
  sessions: 11,
  sessionBegun: 12,
  sessionEnded: 13,
  sessionsSettled: 14,
  zones: 15,
  quickKey: 16,
};

const typeOf = new Map<number, RecordType>(
  Object.entries(recordTypes).map(([type, byte]) => [byte, type as RecordType]),
);

/** The longest body: a full set of long rules. */
export const maxBodyBytes: number = 1 << 21;
const publicKeyBytes = 65;
const hashBytes = 32;

const wrapperBytes = { "table-key": 1, sm2: 2 } as const;
const wrapperKinds = { 1: "table-key", 2: "sm2" } as const;

/** True for the byte of a type that is known here. */
export function isRecordType(byte: number): boolean {
  return typeOf.has(byte);
}

/** The body of a record; the frame around it has the type. Numbers are big-endian. */
export function encodeBody(record: TableRecord): Buffer {
  const body = new BodyWriter();
  switch (record.type) {
    case "wrapping":
      body.u8(wrapperBytes[record.wrapper.kind]);
      if (record.wrapper.kind === "sm2") body.fixed(record.wrapper.publicKey);
      break;
    case "namesKey":
    case "quickKey":
      body.bytes(record.envelope);
      break;
    case "rules":
      body.u16(record.rules.length);
      for (const { pattern, becomes } of record.rules)
        body.u8(protectionBytes[becomes]).bytes(Buffer.from(pattern, "utf8"));
      break;
    case "zoneMade":
      writeZone(body, record);
      break;
    case "zones":
      writeZones(body, record.zones);
      break;
    case "generationAdded":
      body.fixed(record.zoneId).u32(record.generation).time(record.madeAtMs).bytes(record.envelope);
      writeQuick(body, record.quick);
      break;
    case "generationRetired":
    case "generationDestroyed":
      body.fixed(record.zoneId).u32(record.generation);
      break;
    case "zoneDestroyed":
    case "zoneRemoved":
      body.fixed(record.zoneId);
      break;
    case "rewrapped":
      body.fixed(record.zoneId).u32(record.generation).bytes(record.replaces).bytes(record.envelope);
      break;
    case "sessions":
      record.log.writeTo(body);
      break;
    case "sessionBegun":
      body.u48(record.session).fixed(record.bootId);
      break;
    case "sessionEnded":
    case "sessionsSettled":
      body.u48(record.session);
      break;
  }
  return body.finish();
}

/** @throws {KeyTableError} `KEY_TABLE_DAMAGED` for a body that {@link encodeBody} would not have written for this type. */
export function decodeBody(typeByte: number, bytes: Buffer): TableRecord {
  const type = typeOf.get(typeByte);
  if (type === undefined) throw damaged("a record is of a type that this version does not know");
  const body = new BodyReader(bytes);
  const record = readFields(type, body);
  body.end();
  return record;
}

function readFields(type: RecordType, body: BodyReader): TableRecord {
  switch (type) {
    case "wrapping": {
      const kind = body.oneOf(wrapperKinds);
      return { type, wrapper: kind === "sm2" ? { kind, publicKey: body.fixed(publicKeyBytes) } : { kind } };
    }
    case "namesKey":
    case "quickKey":
      return { type, envelope: readEnvelope(body) };
    case "rules": {
      const count = body.u16();
      if (count > maxRules) throw damaged("a record has too many rules");
      const rules: ZoneRule[] = [];
      for (let i = 0; i < count; i++) {
        const becomes = body.oneOf(protections);
        rules.push({ becomes, pattern: body.bytes(1, maxPatternBytes).toString("utf8") });
      }
      return { type, rules };
    }
    case "zoneMade":
      return { type, ...readZone(body) };
    case "zones":
      return { type, zones: readZones(body) };
    case "generationAdded":
      return {
        type,
        zoneId: body.zoneId(),
        generation: body.u32(),
        madeAtMs: body.time(),
        envelope: readEnvelope(body),
        ...readQuick(body),
      };
    case "generationRetired":
    case "generationDestroyed":
      return { type, zoneId: body.zoneId(), generation: body.u32() };
    case "zoneDestroyed":
    case "zoneRemoved":
      return { type, zoneId: body.zoneId() };
    case "rewrapped":
      return {
        type,
        zoneId: body.zoneId(),
        generation: body.u32(),
        replaces: body.bytes(hashBytes, hashBytes),
        envelope: readEnvelope(body),
      };
    case "sessions":
      return { type, log: SessionLog.read(body) };
    case "sessionBegun":
      return { type, session: body.u48(), bootId: body.fixed(bootIdBytes) };
    case "sessionEnded":
    case "sessionsSettled":
      return { type, session: body.u48() };
  }
}
