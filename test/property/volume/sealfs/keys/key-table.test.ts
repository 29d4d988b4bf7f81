import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { suites } from "../../../../../src/crypto/suite.ts";
import { KeyTableError } from "../../../../../src/volume/sealfs/keys/errors.ts";
import type { KeyTable } from "../../../../../src/volume/sealfs/keys/key-table.ts";
import { readTable } from "../../../../../src/volume/sealfs/keys/reading.ts";
import { decodeBody, encodeBody, type TableRecord } from "../../../../../src/volume/sealfs/keys/records.ts";
import { ZoneRules } from "../../../../../src/volume/sealfs/keys/rules.ts";
import { encodeTable } from "../../../../../src/volume/sealfs/keys/writing.ts";
import { scaled, seed } from "../../../../run-settings.ts";
import { RecordedSystem } from "../../../../unit/volume/sealfs/keys/recorded-system.ts";
import { contentOf, TableSetting, tableKey, volumeId } from "../../../../unit/volume/sealfs/keys/table-setting.ts";

const settings = (full: number) => ({ seed, numRuns: scaled(full) });

/** Objects as the product makes them. */
const object = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(model, { noNullPrototype: true });

const bytes = (least: number, most: number) =>
  fc.uint8Array({ minLength: least, maxLength: most }).map((array) => Buffer.from(array));
const zoneId = bytes(16, 16);
const generation = fc.integer({ min: 0, max: 0xffff_ffff });
const madeAtMs = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const envelope = bytes(1, 200);
const quick = fc.oneof(fc.constant({}), object({ quick: bytes(1, 128) }));
const name = fc
  .uint8Array({ minLength: 1, maxLength: 12 })
  .map((array) => Buffer.from(array).toString("latin1"))
  .filter((text) => !/[/\0]/.test(text) && text !== "." && text !== "..");
const protection = fc.constantFrom("sealed", "table-sealed", "plain");

const zoneFields = {
  zoneId,
  protection,
  path: fc.array(name, { maxLength: 6 }),
  madeAtMs,
  destroyed: fc.boolean(),
  highestGeneration: generation,
  generations: fc.array(
    fc
      .tuple(object({ generation, retired: fc.boolean(), madeAtMs, envelope }), quick)
      .map(([fields, more]) => ({ ...fields, ...more })),
    { maxLength: 4 },
  ),
};
const session = fc.integer({ min: 1, max: 2 ** 48 - 1 });
const record: fc.Arbitrary<TableRecord> = fc.oneof(
  object({
    type: fc.constant("wrapping" as const),
    wrapper: fc.oneof(
      fc.constant({ kind: "table-key" as const }),
      object({ kind: fc.constant("sm2" as const), publicKey: bytes(65, 65) }),
    ),
  }),
  object({ type: fc.constantFrom("namesKey" as const, "quickKey" as const), envelope }),
  object({
    type: fc.constant("rules" as const),
    rules: fc.array(object({ pattern: fc.string({ minLength: 1, unit: "grapheme" }), becomes: protection })),
  }),
  object({ type: fc.constant("zoneMade" as const), ...zoneFields }),
  object({ type: fc.constant("zones" as const), zones: fc.array(object(zoneFields), { maxLength: 4 }) }),
  fc
    .tuple(object({ type: fc.constant("generationAdded" as const), zoneId, generation, madeAtMs, envelope }), quick)
    .map(([fields, more]) => ({ ...fields, ...more })),
  object({ type: fc.constantFrom("generationRetired" as const, "generationDestroyed" as const), zoneId, generation }),
  object({ type: fc.constantFrom("zoneDestroyed" as const, "zoneRemoved" as const), zoneId }),
  object({ type: fc.constant("rewrapped" as const), zoneId, generation, replaces: bytes(32, 32), envelope }),
  object({ type: fc.constant("sessionBegun" as const), session, bootId: bytes(16, 16) }),
  object({ type: fc.constantFrom("sessionEnded" as const, "sessionsSettled" as const), session }),
) as fc.Arbitrary<TableRecord>;

const typeBytes = {
  wrapping: 1,
  namesKey: 2,
  quickKey: 16,
  rules: 3,
  zoneMade: 4,
  generationAdded: 5,
  generationRetired: 6,
} as const;
const others = { generationDestroyed: 7, zoneDestroyed: 8, zoneRemoved: 9, rewrapped: 10, sessions: 11 } as const;
const ofSessions = { sessionBegun: 12, sessionEnded: 13, sessionsSettled: 14, zones: 15 } as const;
const typeByteOf: Readonly<Record<TableRecord["type"], number>> = { ...typeBytes, ...others, ...ofSessions };

/** Runs `work`; a refusal must be the table's own. */
function refusedOr<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    assert.ok(error instanceof KeyTableError, String(error));
    assert.match(error.code, /^KEY_TABLE_(DAMAGED|WRONG_KEY)$/);
    return undefined;
  }
}

describe("the key table's parsers", () => {
  it("read back every record", () => {
    fc.assert(
      fc.property(record, (given) => {
        assert.deepEqual(decodeBody(typeByteOf[given.type], encodeBody(given)), given);
      }),
      settings(4000),
    );
  });

  it("refuse any other bytes, or read them as what would be written so", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 255 }), bytes(0, 300), (typeByte, body) => {
        const read = refusedOr(() => decodeBody(typeByte, body));
        if (read !== undefined && read.type !== "rules") assert.deepEqual(encodeBody(read), body);
      }),
      settings(40_000),
    );
  });

  it("refuse a body with a byte changed, left out or added, or read it as what would be written so", () => {
    fc.assert(
      fc.property(record, fc.nat(), fc.nat(255), fc.constantFrom("change", "cut", "add"), (given, at, byte, how) => {
        const body = encodeBody(given);
        const place = at % (body.length + 1);
        const [before, after] = [body.subarray(0, place), body.subarray(place + (how === "add" ? 0 : 1))];
        const changed = Buffer.concat([before, how === "cut" ? Buffer.of() : Buffer.of(byte), after]);
        const read = refusedOr(() => decodeBody(typeByteOf[given.type], changed));
        if (read !== undefined && read.type !== "rules") assert.deepEqual(encodeBody(read), changed);
      }),
      settings(20_000),
    );
  });

  it("refuse files of any bytes, also behind a true beginning", () => {
    const records: readonly TableRecord[] = [{ type: "wrapping", wrapper: { kind: "table-key" } }];
    const { bytes: start } = encodeTable({ suite: suites.intl, volumeId, firstSequence: 1 }, tableKey(), records);
    fc.assert(
      fc.property(bytes(0, 600), fc.nat({ max: start.length }), (noise, keep) => {
        assert.equal(
          refusedOr(() => readTable(noise, tableKey())),
          undefined,
        );
        const file = Buffer.concat([start.subarray(0, keep), noise]);
        const read = refusedOr(() => readTable(file, tableKey()));
        // The noise may begin with the byte that was left out.
        const isWhole = file.subarray(0, start.length).equals(start);
        if (read !== undefined)
          assert.deepEqual([read.records.length, read.validBytes, isWhole], [1, start.length, true]);
      }),
      settings(10_000),
    );
  });

  it("refuse patterns, or match by them just what they spell", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 20 }), fc.array(name, { maxLength: 4 }), (pattern, path) => {
        let rules: ZoneRules;
        try {
          rules = new ZoneRules([{ pattern, becomes: "plain" }]);
        } catch (error) {
          assert.ok(error instanceof KeyTableError && error.code === "RULE_INVALID");
          return;
        }
        const segments = Buffer.from(pattern).toString("latin1").split("/");
        const spelled = segments.length === path.length && segments.every((one, at) => one === "*" || one === path[at]);
        assert.equal(rules.match(path), spelled ? "plain" : undefined);
        assert.equal(rules.match(segments), "plain");
        for (let depth = 0; depth <= segments.length; depth++) assert.ok(rules.reachBelow(segments.slice(0, depth)));
      }),
      settings(10_000),
    );
  });
});

type Step =
  | {
      readonly what: "make";
      readonly path: readonly string[];
      readonly protection: "sealed" | "table-sealed" | "plain";
    }
  | { readonly what: "rotate" | "retire" | "destroyGeneration" | "destroyZone" | "remove"; readonly at: number }
  | { readonly what: "compact" | "rekey" | "reopen" | "kill" }
  | { readonly what: "rules"; readonly pattern: string };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: object({
      what: fc.constant("make" as const),
      path: fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 3 }),
      protection,
    }),
  },
  {
    weight: 8,
    arbitrary: object({
      what: fc.constantFrom(...(["rotate", "retire", "destroyGeneration", "destroyZone", "remove"] as const)),
      at: fc.nat(20),
    }),
  },
  { weight: 3, arbitrary: object({ what: fc.constantFrom("compact" as const, "rekey", "reopen", "kill") }) },
  { weight: 1, arbitrary: object({ what: fc.constant("rules" as const), pattern: fc.constantFrom("a/*", "*", "b") }) },
) as fc.Arbitrary<Step>;

function take(table: KeyTable, change: Step): void {
  const zones = Array.from(table.zones());
  const zone = "at" in change ? zones[change.at % zones.length] : undefined;
  try {
    if (change.what === "make") table.makeZone(change.path, change.protection).key?.[Symbol.dispose]();
    else if (change.what === "compact") table.compact();
    else if (change.what === "rules") table.setRules([{ pattern: change.pattern, becomes: "sealed" }]);
    if (zone === undefined) return;
    const oldest = zone.generations[0]?.generation ?? 1;
    if (change.what === "rotate") table.addGeneration(zone.zoneId).key[Symbol.dispose]();
    else if (change.what === "retire") table.retireGeneration(zone.zoneId, oldest);
    else if (change.what === "destroyGeneration") table.destroyGeneration(zone.zoneId, oldest, 0);
    else if (change.what === "destroyZone") table.destroyZone(zone.zoneId);
    else if (change.what === "remove") table.removeZone(zone.zoneId);
  } catch (error) {
    assert.ok(error instanceof KeyTableError, String(error));
    assert.doesNotMatch(error.code, /^(KEY_TABLE_.*|ENVELOPE_REFUSED|PRIVATE_KEY_ABSENT|RULE_INVALID)$/);
  }
}

describe("a key table", () => {
  it("is, after any changes, crashes and re-keyings, what it was in memory", async (t) => {
    const setting = new TableSetting(t);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        let system = new RecordedSystem();
        let fill = 1;
        let table = await setting.create({}, { system, tableKey: tableKey(fill) });
        const keysSeen = new Map<string, string>();
        try {
          for (const one of steps) {
            take(table, one);
            if (one.what === "rekey") {
              fill = (fill % 250) + 1;
              table.beginRekey(tableKey(fill)).finish();
            } else if (one.what === "reopen" || one.what === "kill") {
              const before = contentOf(table);
              const { head } = table;
              table.close();
              if (one.what === "kill") system = system.afterCrash(system.calls.length, "powerLost");
              table = await setting.open({ closedCleanly: true }, { system, tableKey: tableKey(fill) });
              assert.deepEqual(contentOf(table), before);
              assert.deepEqual(table.head, head);
            }
            checkKeysStay(table, keysSeen);
          }
        } finally {
          table.close();
        }
      }),
      settings(1000),
    );
  });
});

/** A generation's key never changes, whatever its envelope went through. */
function checkKeysStay(table: KeyTable, seen: Map<string, string>): void {
  for (const zone of table.zones())
    for (const { generation: number } of zone.generations) {
      using key = table.unwrap(zone, number);
      const name = `${zone.zoneId.toString("hex")}/${number}`;
      const text = key.expose((secret) => secret.toString("hex"));
      assert.equal(seen.get(name) ?? text, text);
      seen.set(name, text);
    }
}
