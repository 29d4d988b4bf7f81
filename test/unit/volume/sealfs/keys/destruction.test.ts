import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { blockCiphers } from "../../../../../src/volume/sealfs/cipher/block-ciphers.ts";
import type { KeyTable } from "../../../../../src/volume/sealfs/keys/key-table.ts";
import { readTable } from "../../../../../src/volume/sealfs/keys/reading.ts";
import { VolumeKeys } from "../../../../../src/volume/sealfs/keys/volume-keys.ts";
import type { ZoneKeys } from "../../../../../src/volume/sealfs/stored-file.ts";
import { RecordedSystem } from "./recorded-system.ts";
import { TableSetting, tableKey } from "./table-setting.ts";

const shard = ["data", "db", "1"];
const fileId = Buffer.alloc(16, 1);
const epoch = Buffer.alloc(16, 2);
const full = { code: "KEY_TABLE_SYSTEM" };
const noKey = { code: "ENOKEY" };

interface Opened {
  readonly system: RecordedSystem;
  readonly setting: TableSetting;
  readonly table: KeyTable;
  readonly keys: VolumeKeys;
  readonly zoneId: Buffer;
  readonly zoneKeys: ZoneKeys;
}

/** A zone with generations 1 and 2, of which the first is retired. */
async function zoneOfTwo(t: TestContext): Promise<Opened> {
  const system = new RecordedSystem();
  const setting = new TableSetting(t, { system });
  const table = await setting.create({ rules: [{ pattern: "data/*/*", becomes: "table-sealed" }] });
  const keys = new VolumeKeys(table, { names: "plain", ciphers: blockCiphers() });
  t.after(() => keys[Symbol.dispose]());
  const { zoneId, keys: zoneKeys = assert.fail("the zone is plain") } = keys.zoneForNewFolder(shard);
  keys.rotate(zoneId);
  table.retireGeneration(zoneId, 1);
  return { system, setting, table, keys, zoneId, zoneKeys };
}

/** The disk takes what is appended to the table, and not a whole new one. */
function fillDisk(system: RecordedSystem): void {
  let writes = 0;
  system.failing = (call) => {
    if (call !== "write") return undefined;
    writes += 1;
    return writes > 1 ? "ENOSPC" : undefined;
  };
}

/** Generations whose envelopes are in any file, by what their records say. */
function envelopesIn(system: RecordedSystem, zoneId: Buffer): readonly number[] {
  const found: number[] = [];
  for (const [name, bytes] of system.files()) {
    if (name === "keys.spare") continue;
    assert.equal(name, "keys");
    const { records, recordKey } = readTable(bytes, tableKey());
    recordKey[Symbol.dispose]();
    for (const record of records) {
      const zones = record.type === "zoneMade" ? [record] : record.type === "zones" ? record.zones : [];
      for (const zone of zones)
        if (zone.zoneId.equals(zoneId)) found.push(...zone.generations.map(({ generation }) => generation));
      if (record.type === "generationAdded" && record.zoneId.equals(zoneId)) found.push(record.generation);
    }
  }
  return found;
}

function seal(keys: ZoneKeys, generation: number): void {
  using cipher = keys.fileCipher(generation, fileId, epoch);
  cipher.seal(Buffer.alloc(3), Buffer.alloc(5), Buffer.alloc(33));
}

describe("destroying keys with a full disk", () => {
  it("of a zone takes them from memory at once, and from the file when it is called again", async (t) => {
    const { system, setting, table, keys, zoneId, zoneKeys } = await zoneOfTwo(t);
    using held = zoneKeys.fileCipher(2, fileId, epoch);
    seal(zoneKeys, 1);
    fillDisk(system);
    for (let time = 0; time < 2; time += 1) {
      assert.throws(() => keys.destroyZone(zoneId), full);
      assert.throws(() => held.seal(Buffer.alloc(3), Buffer.alloc(5), Buffer.alloc(33)), noKey);
      for (const generation of [1, 2]) assert.throws(() => seal(zoneKeys, generation), noKey);
      assert.equal(table.holdsDestroyed, true);
    }
    const left = RecordedSystem.holding(system.files());
    system.failing = () => undefined;
    keys.destroyZone(zoneId);
    assert.deepEqual(envelopesIn(system, zoneId), []);
    assert.equal(table.holdsDestroyed, false);
    // Killed before that, the destruction stands, and can be finished after the next opening.
    keys[Symbol.dispose]();
    const again = await setting.open({}, { system: left });
    assert.deepEqual([again.zone(zoneId)?.destroyed, again.holdsDestroyed], [true, true]);
    again.settle();
    again.close();
    assert.deepEqual(envelopesIn(left, zoneId), []);
  });

  it("of a generation takes them from memory at once, and from the file when it is called again", async (t) => {
    const { system, table, keys, zoneId, zoneKeys } = await zoneOfTwo(t);
    seal(zoneKeys, 1);
    fillDisk(system);
    assert.throws(() => keys.destroyGeneration(zoneId, 1, 0), full);
    assert.throws(() => seal(zoneKeys, 1), noKey);
    seal(zoneKeys, 2);
    table.retireGeneration(zoneId, 1);
    assert.throws(() => keys.destroyGeneration(zoneId, 1, 0), full);
    for (const generation of [0, 3, 1.5]) {
      assert.throws(() => keys.destroyGeneration(zoneId, generation, 0), { code: "GENERATION_ABSENT" });
      assert.throws(() => table.retireGeneration(zoneId, generation), { code: "GENERATION_ABSENT" });
    }
    system.failing = () => undefined;
    keys.destroyGeneration(zoneId, 1, 0);
    assert.deepEqual(envelopesIn(system, zoneId), [2]);
    assert.throws(() => keys.destroyGeneration(zoneId, 1, 0), { code: "GENERATION_ABSENT" });
    seal(zoneKeys, 2);
  });

  it("changes nothing where not even the first record finds room", async (t) => {
    const { system, table, keys, zoneId, zoneKeys } = await zoneOfTwo(t);
    system.failing = (call) => (call === "write" ? "ENOSPC" : undefined);
    assert.throws(() => keys.destroyZone(zoneId), full);
    assert.throws(() => keys.destroyGeneration(zoneId, 1, 0), full);
    for (const generation of [1, 2]) seal(zoneKeys, generation);
    system.failing = () => undefined;
    assert.equal(table.holdsDestroyed, false);
    keys.destroyGeneration(zoneId, 1, 0);
    keys.destroyZone(zoneId);
    assert.deepEqual(envelopesIn(system, zoneId), []);
  });
});

describe("the ciphers of a destroyed generation", () => {
  it("are given out to nobody, neither those in use nor those kept for the next", async (t) => {
    const { keys, zoneId, zoneKeys } = await zoneOfTwo(t);
    using held = zoneKeys.fileCipher(1, Buffer.alloc(16, 9), epoch);
    for (let at = 0; at < 20; at += 1) zoneKeys.fileCipher(1, Buffer.alloc(16, at), epoch)[Symbol.dispose]();
    keys.destroyGeneration(zoneId, 1, 0);
    for (let at = 0; at < 20; at += 1)
      assert.throws(() => zoneKeys.fileCipher(1, Buffer.alloc(16, at), epoch), noKey, String(at));
    assert.throws(() => held.open(Buffer.alloc(3), Buffer.alloc(33), Buffer.alloc(5)), noKey);
    seal(zoneKeys, 2);
  });
});

describe("the end of a key table, made by whoever can write the store", () => {
  /** Bytes that look like records of the next number, each of a length of its own, all up to the end. */
  function lookingLikeRecords(count: number, bytesEach: number): Buffer {
    const tail = Buffer.alloc(count * 64 + bytesEach, 0xff);
    for (let at = 0; at < count * 64; at += 64) {
      tail.writeUInt32BE(bytesEach, at);
      tail.writeBigUInt64BE(20n, at + 4);
      tail.writeUInt8(9, at + 12);
    }
    return tail;
  }

  it("is searched for records up to so many bytes, and is damage beyond", async (t) => {
    const { system, table } = await zoneOfTwo(t);
    table.close();
    const file = system.files().get("keys") ?? assert.fail();
    const read = (tail: Buffer) => {
      const { recordKey, tornBytes } = readTable(Buffer.concat([file, tail]), tableKey());
      recordKey[Symbol.dispose]();
      return tornBytes;
    };
    const within = lookingLikeRecords(12, 1_000_000);
    assert.equal(read(within), within.length);
    // As many as a hundred short ones are no more to search than these.
    const short = lookingLikeRecords(100, 1000);
    assert.equal(read(short), short.length);
    assert.throws(() => read(lookingLikeRecords(24, 1_000_000)), { code: "KEY_TABLE_DAMAGED" });
    assert.throws(() => read(lookingLikeRecords(4000, 1_900_000)), { code: "KEY_TABLE_DAMAGED" });
  });
});
