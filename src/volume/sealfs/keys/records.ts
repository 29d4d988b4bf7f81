import { BodyReader, BodyWriter } from "./body.ts";
import { damaged } from "./errors.ts";
import { maxPatternBytes, maxRules, type ZoneRule } from "./rules.ts";
import { type Generation, maxGenerationsPerZone, type ZoneProtection } from "./zone.ts";

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
  /** All rules, instead of those before. */
  | { readonly type: "rules"; readonly rules: readonly ZoneRule[] }
  | {
      readonly type: "zoneMade";
      readonly zoneId: Buffer;
      readonly protection: ZoneProtection;
      readonly path: readonly string[];
      readonly madeAtMs: number;
      readonly destroyed: boolean;
      readonly highestGeneration: number;
      readonly generations: readonly Generation[];
    }
  | {
      readonly type: "generationAdded";
      readonly zoneId: Buffer;
      readonly generation: number;
      readonly madeAtMs: number;
      readonly envelope: Buffer;
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
    };

export type RecordType = TableRecord["type"];

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
};

const typeOf = new Map<number, RecordType>(
  Object.entries(recordTypes).map(([type, byte]) => [byte, type as RecordType]),
);

/** The longest body: a full set of long rules. */
export const maxBodyBytes: number = 1 << 21;
export const maxEnvelopeBytes = 1024;
const publicKeyBytes = 65;
const hashBytes = 32;

const protectionBytes: Readonly<Record<ZoneProtection, number>> = { sealed: 1, "table-sealed": 2, plain: 3 };
const protections = { 1: "sealed", 2: "table-sealed", 3: "plain" } as const;
const wrapperBytes = { "table-key": 1, sm2: 2 } as const;
const wrapperKinds = { 1: "table-key", 2: "sm2" } as const;
const flags = { 0: false, 1: true } as const;

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
      body.bytes(record.envelope);
      break;
    case "rules":
      body.u16(record.rules.length);
      for (const { pattern, becomes } of record.rules)
        body.u8(protectionBytes[becomes]).bytes(Buffer.from(pattern, "utf8"));
      break;
    case "zoneMade":
      body.fixed(record.zoneId).u8(protectionBytes[record.protection]).path(record.path).time(record.madeAtMs);
      body.u8(record.destroyed ? 1 : 0).u32(record.highestGeneration);
      body.u8(record.generations.length);
      for (const { generation, retired, madeAtMs, envelope } of record.generations)
        body
          .u32(generation)
          .u8(retired ? 1 : 0)
          .time(madeAtMs)
          .bytes(envelope);
      break;
    case "generationAdded":
      body.fixed(record.zoneId).u32(record.generation).time(record.madeAtMs).bytes(record.envelope);
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
      return {
        type,
        zoneId: body.zoneId(),
        protection: body.oneOf(protections),
        path: body.path(),
        madeAtMs: body.time(),
        destroyed: body.oneOf(flags),
        highestGeneration: body.u32(),
        generations: readGenerations(body),
      };
    case "generationAdded":
      return {
        type,
        zoneId: body.zoneId(),
        generation: body.u32(),
        madeAtMs: body.time(),
        envelope: readEnvelope(body),
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
  }
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
    });
  return generations;
}

function readEnvelope(body: BodyReader): Buffer {
  return body.bytes(1, maxEnvelopeBytes);
}
