import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { SecretBuffer } from "../../../../../src/crypto/secret-buffer.ts";
import { suites } from "../../../../../src/crypto/suite.ts";
import { sealFrame } from "../../../../../src/volume/sealfs/keys/frame.ts";
import { readTable } from "../../../../../src/volume/sealfs/keys/reading.ts";
import type { TableRecord } from "../../../../../src/volume/sealfs/keys/records.ts";
import { decodeHeader } from "../../../../../src/volume/sealfs/keys/table-header.ts";
import { encodeTable, RecordChain } from "../../../../../src/volume/sealfs/keys/writing.ts";
import { long } from "../../../../run-settings.ts";
import { RecordedSystem } from "./recorded-system.ts";
import { MasterKey, TableSetting, tableKey, volumeId } from "./table-setting.ts";

interface Written {
  readonly bytes: Buffer;
  /** The file's length after each change. */
  readonly ends: readonly number[];
}

/** A table that was compacted once and then had some records appended. */
async function writtenTable(t: TestContext): Promise<Written> {
  const system = new RecordedSystem();
  const table = await new TableSetting(t, { system }).create({ rules: [{ pattern: "*", becomes: "sealed" }] });
  const bytesNow = () => system.files().get("keys") ?? assert.fail();
  const ends = [bytesNow().length];
  const change = (make: () => void) => {
    make();
    ends.push(bytesNow().length);
  };
  change(() => void table.makeZone(["a"], "sealed"));
  change(() => void table.makeZone(["b"], "plain"));
  change(() => void table.addGeneration(table.zoneOf(["a"]).zoneId));
  change(() => table.retireGeneration(table.zoneOf(["a"]).zoneId, 1));
  return { bytes: bytesNow(), ends };
}

function recordCount(bytes: Buffer, closedCleanly = false): number {
  const { records, recordKey } = readTable(bytes, tableKey(), { closedCleanly });
  recordKey[Symbol.dispose]();
  return records.length;
}

function part(bytes: Buffer, from: number | undefined, to: number | undefined): Buffer {
  return bytes.subarray(from, to);
}

const refused = { code: /^KEY_TABLE_(DAMAGED|WRONG_KEY)$/ };
const damaged = { code: "KEY_TABLE_DAMAGED" };

describe("a key table that was tampered with", () => {
  it("is refused for a change to any bit before its last record, whose own change only drops it", async (t) => {
    const { bytes, ends } = await writtenTable(t);
    const last = ends.at(-2) ?? assert.fail();
    for (let bit = 0; bit < bytes.length * 8; bit += long ? 1 : 7) {
      const bad = Buffer.from(bytes);
      bad.writeUInt8(bad.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      if (bit >> 3 < last) assert.throws(() => recordCount(bad), refused, `bit ${bit}`);
      else assert.equal(recordCount(bad), 7, `bit ${bit}`);
      assert.throws(() => recordCount(bad, true), refused, `bit ${bit}, closed cleanly`);
    }
  });

  it("keeps all whole records when it is cut at any byte of what was appended, and is refused below that", async (t) => {
    const { bytes, ends } = await writtenTable(t);
    const first = ends[0] ?? assert.fail();
    for (let size = 0; size < bytes.length; size++) {
      const cut = bytes.subarray(0, size);
      if (size < first) assert.throws(() => recordCount(cut), damaged, `cut at ${size}`);
      else assert.equal(recordCount(cut), 4 + ends.filter((end, at) => at > 0 && end <= size).length, `cut at ${size}`);
      if (!ends.includes(size)) assert.throws(() => recordCount(cut, true), damaged, `cut at ${size}, closed cleanly`);
    }
  });

  it("is refused with records swapped, repeated, or taken out of the middle", async (t) => {
    const { bytes, ends } = await writtenTable(t);
    const pieces = ends.map((end, at) => part(bytes, at === 0 ? 0 : ends[at - 1], end));
    const [head, one, two, three, four] = pieces;
    if (!head || !one || !two || !three || !four) return assert.fail();
    for (const order of [
      [head, two, one, three, four],
      [head, one, one, two, three, four],
      [head, one, two, three, four, four],
      [head, one, two, three, four, one],
      [head, two, three, four],
      [head, one, three, four],
      [head, one, two, four],
      [one, two, three, four],
    ])
      assert.throws(() => recordCount(Buffer.concat(order)), damaged);
    assert.equal(recordCount(Buffer.concat([head, one, two])), 6);
  });

  it("is refused with a record of an older copy, of a table of the same key, or of another volume", async (t) => {
    const system = new RecordedSystem();
    const setting = new TableSetting(t, { system });
    const table = await setting.create();
    const start = system.files().get("keys") ?? assert.fail();
    table.makeZone(["a"], "sealed");
    const one = system.files().get("keys") ?? assert.fail();
    const other = await writtenTable(t);
    const [from, to] = [other.ends[0], other.ends[1]];
    // Under the same table key, but another salt: to this table, nothing but noise.
    assert.equal(recordCount(Buffer.concat([start, part(other.bytes, from, to)])), 4);
    assert.throws(() => recordCount(Buffer.concat([one, part(other.bytes, from, to)]), true), damaged);
    table.close();
    // The same place in the file, in two histories of one table.
    const branch = RecordedSystem.holding(new Map([["keys", start]]));
    const again = await setting.open({}, { system: branch });
    again.makeZone(["b"], "sealed");
    again.makeZone(["c"], "sealed");
    const two = branch.files().get("keys") ?? assert.fail();
    const secondOfTwo = two.subarray(one.length);
    assert.throws(() => recordCount(Buffer.concat([one, secondOfTwo])), damaged);
  });

  it("is refused when zeros or noise stand in the middle", async (t) => {
    const { bytes, ends } = await writtenTable(t);
    const at = (ends[1] ?? 0) + 5;
    for (const fill of [0, 0x5a]) {
      const bad = Buffer.from(bytes);
      bad.fill(fill, at, at + 20);
      assert.throws(() => recordCount(bad), damaged);
      assert.throws(
        () => recordCount(Buffer.concat([part(bytes, 0, at), Buffer.alloc(9, fill), part(bytes, at, undefined)])),
        damaged,
      );
    }
  });

  it("drops zeros behind its end after a power loss, but not more than one append", async (t) => {
    const { bytes } = await writtenTable(t);
    assert.equal(recordCount(Buffer.concat([bytes, Buffer.alloc(4096)])), 8);
    assert.throws(() => recordCount(Buffer.concat([bytes, Buffer.alloc((1 << 22) + 1)])), damaged);
  });

  it("gives up on an end that is full of what looks like records", async (t) => {
    const { bytes } = await writtenTable(t);
    const looksLikeOne = Buffer.alloc(57);
    looksLikeOne.writeBigUInt64BE(9n, 4);
    looksLikeOne.writeUInt8(9, 12);
    assert.throws(() => recordCount(Buffer.concat([bytes, ...Array(5000).fill(looksLikeOne)])), damaged);
  });

  it("is refused with an envelope that anyone could make to the public key", async (t) => {
    const master = new MasterKey();
    const system = new RecordedSystem();
    const setting = new TableSetting(t, { suite: suites.sm, system, wrapper: () => master.wrapper() });
    const table = await setting.create();
    const before = system.files().get("keys") ?? assert.fail();
    const { zone, key } = table.makeZone(["a"], "sealed");
    const file = system.files().get("keys") ?? assert.fail();
    table.addGeneration(zone.zoneId);
    const whole = system.files().get("keys") ?? assert.fail();
    table.close();
    // In the file envelopes, ids and paths lie sealed: there is nothing to find and replace.
    const envelope = zone.generations[0]?.envelope ?? assert.fail();
    for (const clear of [envelope.subarray(0, 16), zone.zoneId]) assert.ok(!whole.includes(clear));
    // So the attacker must write a record of his own, and has no key to seal it with.
    using own = SecretBuffer.random(16);
    const record = {
      type: "zoneMade",
      ...zone,
      generations: [{ ...zone.generations[0], envelope: master.wrapper().wrap(own) }],
    };
    for (const attackersKey of [own, key ?? assert.fail()]) {
      using chain = new RecordChain(suites.sm, attackersKey.clone(), before.subarray(-16), 5);
      const forged = chain.seal([record as TableRecord]);
      const rest = whole.subarray(file.length);
      const files = new Map([["keys", Buffer.concat([before, forged, rest])]]);
      await assert.rejects(setting.open({}, { system: RecordedSystem.holding(files) }), damaged);
    }
  });
});

describe("a table whose records make no sense", () => {
  const zone = {
    type: "zoneMade",
    zoneId: Buffer.alloc(16, 1),
    protection: "plain",
    path: [],
    madeAtMs: 1,
    destroyed: false,
    highestGeneration: 0,
    generations: [],
  } as const;
  const wrapping = { type: "wrapping", wrapper: { kind: "table-key" } } as const;
  const namesKey = { type: "namesKey", envelope: Buffer.alloc(60) } as const;
  const complete: readonly TableRecord[] = [wrapping, namesKey, zone];
  const generation = { generation: 1, retired: false, madeAtMs: 1, envelope: Buffer.alloc(60) };
  const sealed = { ...zone, zoneId: Buffer.alloc(16, 2), path: ["a"], protection: "sealed" } as const;
  const { zoneId } = sealed;
  const nonsense: Readonly<Record<string, readonly TableRecord[]>> = {
    "no record at all": [],
    "no wrapper": [namesKey, zone],
    "two wrappers": [...complete, wrapping],
    "no names key": [wrapping, zone],
    "two names keys": [...complete, namesKey],
    "no zone for the volume": [wrapping, namesKey],
    "one zone twice": [...complete, { ...zone, path: ["a"] }],
    "two zones for one folder": [...complete, { ...zone, zoneId: Buffer.alloc(16, 2) }],
    "a plain zone with a key": [
      ...complete,
      { ...sealed, protection: "plain", highestGeneration: 1, generations: [generation] },
    ],
    "a sealed zone without a key": [...complete, sealed],
    "a destroyed zone with a key": [
      ...complete,
      { ...sealed, destroyed: true, highestGeneration: 1, generations: [generation] },
    ],
    "a zone whose newest key is retired": [
      ...complete,
      { ...sealed, highestGeneration: 1, generations: [{ ...generation, retired: true }] },
    ],
    "a zone whose newest key is missing": [...complete, { ...sealed, highestGeneration: 2, generations: [generation] }],
    "generations out of order": [
      ...complete,
      { ...sealed, highestGeneration: 1, generations: [{ ...generation, generation: 2 }, generation] },
    ],
    "a generation for nobody": [
      ...complete,
      { type: "generationAdded", zoneId, generation: 1, madeAtMs: 1, envelope: Buffer.alloc(60) },
    ],
    "a generation for a plain zone": [
      ...complete,
      { type: "generationAdded", zoneId: zone.zoneId, generation: 1, madeAtMs: 1, envelope: Buffer.alloc(60) },
    ],
    "a generation out of turn": [
      ...complete,
      { ...sealed, highestGeneration: 1, generations: [generation] },
      { type: "generationAdded", zoneId, generation: 3, madeAtMs: 1, envelope: Buffer.alloc(60) },
    ],
    "the newest generation retired": [
      ...complete,
      { ...sealed, highestGeneration: 1, generations: [generation] },
      { type: "generationRetired", zoneId, generation: 1 },
    ],
    "a generation destroyed that was not retired": [
      ...complete,
      { ...sealed, highestGeneration: 2, generations: [generation, { ...generation, generation: 2 }] },
      { type: "generationDestroyed", zoneId, generation: 1 },
    ],
    "a plain zone destroyed": [...complete, { type: "zoneDestroyed", zoneId: zone.zoneId }],
    "an absent zone removed": [...complete, { type: "zoneRemoved", zoneId }],
    "the volume's own zone removed": [...complete, { type: "zoneRemoved", zoneId: zone.zoneId }],
    "a record of a re-wrapping": [
      ...complete,
      { type: "rewrapped", zoneId, generation: 1, replaces: Buffer.alloc(32), envelope: Buffer.alloc(60) },
    ],
  };

  const place = { suite: suites.intl, volumeId, firstSequence: 1 };

  for (const [what, records] of Object.entries(nonsense))
    it(`is refused: ${what}`, async (t) => {
      const { bytes, chain } = encodeTable(place, tableKey(), records);
      chain[Symbol.dispose]();
      const system = RecordedSystem.holding(new Map([["keys", bytes]]));
      await assert.rejects(new TableSetting(t, { system }).open(), damaged);
      assert.deepEqual(system.calls, []);
      assert.equal(system.openDescriptors, 0);
    });

  it("is refused for bodies of another length, or with values that are not known", () => {
    const { bytes, chain } = encodeTable(place, tableKey(), complete);
    const { recordKey } = decodeHeader(bytes, tableKey());
    for (const [type, body] of [
      [9, Buffer.alloc(15)],
      [9, Buffer.alloc(17)],
      [9, Buffer.alloc(0)],
      [1, Buffer.of(3)],
      [2, Buffer.of(0, 0)],
      [3, Buffer.of(0xff, 0xff)],
      [4, Buffer.alloc(40)],
    ] as const) {
      const frame = sealFrame(suites.intl, recordKey, chain.link, chain.nextSequence, type, body);
      assert.throws(() => recordCount(Buffer.concat([bytes, frame])), damaged, `type ${type}`);
    }
    chain[Symbol.dispose]();
  });
});
