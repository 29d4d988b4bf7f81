import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import { headerKey, parseHeader } from "../../../src/level/header.ts";
import type { EncryptedLevel, RotationProgress } from "../../../src/level/index.ts";
import { storedNameGeneration } from "../../../src/level/key-names.ts";
import { generationOf } from "../../../src/level/sealed-value.ts";
import { type Base, dataKeyOf, memoryBase, openOver, storedEntries } from "./sealed-level.ts";

const fast = { batchEntries: 7, maxEntriesPerSecond: 1e9 };
/** Leaves the rotation at its first batch for as long as a test takes. */
const slow = { batchEntries: 1, maxEntriesPerSecond: 1 };

async function fill(level: EncryptedLevel, count: number): Promise<void> {
  await level.batch(
    Array.from({ length: count }, (_, index) => ({ type: "put", key: `key ${index}`, value: `${index}` })),
  );
}

async function assertFilled(level: EncryptedLevel, count: number): Promise<void> {
  for (let index = 0; index < count; index++) assert.equal(await level.get(`key ${index}`), `${index}`);
  assert.equal((await level.keys().all()).length, count);
}

async function generationsIn(base: Base): Promise<Set<number | undefined>> {
  const entries = await storedEntries(base);
  return new Set(
    entries.flatMap(([key, value]) =>
      key[0] === 2 ? [storedNameGeneration(key), generationOf(value)] : [generationOf(value)],
    ),
  );
}

for (const encryptKeyNames of [false, true])
  describe(`rotating the data key with ${encryptKeyNames ? "encrypted" : "plain"} key names`, () => {
    const open = async (count: number) => {
      const base = memoryBase();
      const level = await openOver(base, { encryptKeyNames });
      await fill(level, count);
      return { base, level };
    };

    it("seals every entry again, and the old key opens the store no more", async () => {
      const { base, level } = await open(100);
      const rotation = await level.rotateDataKey(dataKeyOf(2), fast);
      await rotation.finished;
      assert.deepEqual(await generationsIn(base), new Set([2]));
      assert.equal(rotation.progress.resealedEntries, 100);
      assert.equal(rotation.progress.verifiedEntries, 100);
      await assertFilled(level, 100);
      await level.close();
      await assert.rejects(openOver(base, { dataKey: dataKeyOf(1) }), { code: "LEVEL_DATABASE_NOT_OPEN" });
      const again = await openOver(base, { dataKey: dataKeyOf(2), previousDataKey: dataKeyOf(1) });
      await assertFilled(again, 100);
      assert.equal(again.generation, 2);
    });

    it("puts new writes under the new key at once", async () => {
      const { base, level } = await open(0);
      await level.rotateDataKey(dataKeyOf(2), slow);
      await level.put("a", "1");
      assert.deepEqual(await generationsIn(base), new Set([2]));
      await level.close();
    });

    it("reads, finds, deletes and clears entries on both generations meanwhile", async () => {
      const { base, level } = await open(50);
      const rotation = await level.rotateDataKey(dataKeyOf(2), slow);
      await level.put("key 3", "three");
      assert.equal((await generationsIn(base)).size, 2);
      assert.equal(level.getSync("key 3"), "three");
      assert.equal(level.getSync("key 4"), "4");
      assert.equal(level.getSync("none"), undefined);
      assert.deepEqual(await level.getMany(["key 3", "key 40", "none"]), ["three", "40", undefined]);
      assert.deepEqual(await level.hasMany(["key 3", "key 40", "none"]), [true, true, false]);
      assert.equal(await level.has("key 41"), true);
      assert.equal(await level.has("none"), false);
      assert.equal((await level.keys().all()).length, 50);
      await level.del("key 41");
      assert.equal(await level.get("key 41"), undefined);
      await level.batch([
        { type: "del", key: "key 40" },
        { type: "put", key: "key 42", value: "x" },
      ]);
      assert.equal((await level.keys().all()).length, 48);
      await level.clear();
      assert.deepEqual(await level.keys().all(), []);
      await level.close();
      await assert.rejects(rotation.finished, { code: "LEVEL_ROTATION_STOPPED" });
    });

    it("never writes an old value over one that was put meanwhile", async () => {
      const { level } = await open(300);
      const rotation = await level.rotateDataKey(dataKeyOf(2), { batchEntries: 3, maxEntriesPerSecond: 1e9 });
      const expected = new Map<string, string | undefined>(
        Array.from({ length: 300 }, (_, index) => [`key ${index}`, `${index}`]),
      );
      let done = false;
      const finished = rotation.finished.finally(() => {
        done = true;
      });
      for (let turn = 0; !done; turn++) {
        const writes = [0, 1, 2, 3].map((offset) => {
          const key = `key ${(turn * 7 + offset * 75) % 300}`;
          const value = (turn + offset) % 5 === 0 ? undefined : `turn ${turn}`;
          expected.set(key, value);
          return value === undefined ? level.del(key) : level.put(key, value);
        });
        await Promise.all(writes);
        await setImmediate();
      }
      await finished;
      for (const [key, value] of expected) assert.equal(await level.get(key), value, key);
    });

    it("stores what a buffer held when put() was called, though the write had to wait", async () => {
      const { level } = await open(200);
      const rotation = await level.rotateDataKey(dataKeyOf(2), fast);
      const puts: Promise<void>[] = [];
      const value = Buffer.alloc(8);
      for await (const { phase } of rotation) {
        const number = puts.length;
        value.writeUInt32BE(number);
        puts.push(level.put<string, Buffer>(`new ${number}`, value, { valueEncoding: "buffer" }));
        value.fill(0xff);
        if (phase === "finished") break;
      }
      await Promise.all(puts);
      for (const number of puts.keys()) {
        const stored = await level.get<string, Buffer>(`new ${number}`, { valueEncoding: "buffer" });
        assert.equal(stored?.readUInt32BE(0), number);
      }
    });

    it("tells its progress to whoever iterates it", async () => {
      const { level } = await open(20);
      const told: RotationProgress[] = [];
      for await (const progress of await level.rotateDataKey(dataKeyOf(2), fast)) told.push(progress);
      assert.equal(told[0]?.phase, "resealing");
      assert.equal(told.at(-1)?.phase, "finished");
      assert.deepEqual(
        told.map((progress) => progress.resealedEntries),
        told.map((progress) => progress.resealedEntries).toSorted((a, b) => a - b),
      );
      assert.equal(told.at(-1)?.fromGeneration, 1);
      assert.equal(told.at(-1)?.toGeneration, 2);
    });

    it("goes on from where it was after a reopening, which needs both keys", async () => {
      const { base, level } = await open(60);
      const rotation = await level.rotateDataKey(dataKeyOf(2), { batchEntries: 10, maxEntriesPerSecond: 1000 });
      for await (const { resealedEntries } of rotation) if (resealedEntries >= 20) break;
      await level.close();
      await base.open();
      const { header } = parseHeader((await base.get(headerKey)) as Buffer);
      assert.equal(header.generations.length, 2);
      for (const dataKey of [dataKeyOf(1), dataKeyOf(2)])
        await assert.rejects(openOver(base, { dataKey }), (error: Error) => {
          assert.equal((error.cause as { code: string }).code, "LEVEL_KEY_MISSING");
          return true;
        });
      const again = await openOver(base, {
        dataKey: dataKeyOf(2),
        previousDataKey: dataKeyOf(1),
        resumeRotation: fast,
      });
      await again.rotation?.finished;
      assert.equal(again.rotation?.progress.resealedEntries, 60);
      assert.deepEqual(await generationsIn(base), new Set([2]));
      await assertFilled(again, 60);
    });

    it("waits at an opening that says so, until it is resumed", async () => {
      const { base, level } = await open(10);
      await level.rotateDataKey(dataKeyOf(2), slow);
      await level.close();
      const keys = { dataKey: dataKeyOf(1), previousDataKey: dataKeyOf(2) };
      const again = await openOver(base, { ...keys, resumeRotation: false });
      assert.equal(again.rotation, undefined);
      await assertFilled(again, 10);
      await (await again.resumeRotation(fast)).finished;
      assert.deepEqual(await generationsIn(base), new Set([2]));
      await assert.rejects(again.resumeRotation(), { code: "LEVEL_NOT_SUPPORTED" });
    });

    it("is not finished while an entry does not open, and is once that is deleted", async () => {
      const { base, level } = await open(30);
      const [storedKey, sealed] = (await storedEntries(base))[17] as [Buffer, Buffer];
      const changed = Buffer.from(sealed);
      changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
      await base.put(storedKey, changed);
      const rotation = await level.rotateDataKey(dataKeyOf(2), fast);
      await assert.rejects(rotation.finished, { code: "LEVEL_CORRUPTION" });
      assert.equal(rotation.progress.resealedEntries, 29);
      await assert.rejects(level.rotateDataKey(dataKeyOf(3)), { code: "LEVEL_ROTATION_ACTIVE" });
      await base.del(storedKey);
      await (await level.resumeRotation(fast)).finished;
      assert.deepEqual(await generationsIn(base), new Set([2]));
    });

    it("can be done again and again", async () => {
      const { base, level } = await open(40);
      for (const fill of [2, 3, 4]) await (await level.rotateDataKey(dataKeyOf(fill), fast)).finished;
      assert.deepEqual(await generationsIn(base), new Set([4]));
      await assertFilled(level, 40);
      await level.close();
      await level.open();
      await assertFilled(level, 40);
    });

    it("leaves snapshots taken before it readable", async () => {
      const { level } = await open(20);
      const snapshot = level.snapshot();
      await (await level.rotateDataKey(dataKeyOf(2), fast)).finished;
      await (await level.rotateDataKey(dataKeyOf(3), fast)).finished;
      assert.equal(await level.get("key 3", { snapshot }), "3");
      assert.equal(level.getSync("key 3", { snapshot }), "3");
      assert.deepEqual(await level.getMany(["key 3", "none"], { snapshot }), ["3", undefined]);
      assert.deepEqual(await level.hasMany(["key 3", "none"], { snapshot }), [true, false]);
      assert.equal((await level.iterator({ snapshot }).all()).length, 20);
      await snapshot.close();
    });

    it("refuses a second one, a key it has, a key of another length, and options out of range", async () => {
      const { level } = await open(5);
      await assert.rejects(level.rotateDataKey(dataKeyOf(1)), RangeError);
      const short = dataKeyOf(2);
      Object.defineProperty(short, "byteLength", { value: 31 });
      await assert.rejects(level.rotateDataKey(short), RangeError);
      for (const options of [{ batchEntries: 0 }, { maxEntriesPerSecond: 0 }, { batchEntries: Number.NaN }])
        await assert.rejects(level.rotateDataKey(dataKeyOf(2), options), RangeError);
      assert.equal(level.generation, 1);
      await level.rotateDataKey(dataKeyOf(2), slow);
      await assert.rejects(level.rotateDataKey(dataKeyOf(3)), { code: "LEVEL_ROTATION_ACTIVE" });
      await level.close();
      await assert.rejects(level.rotateDataKey(dataKeyOf(3)), { code: "LEVEL_DATABASE_NOT_OPEN" });
    });

    it("survives a close in the middle of its beginning", async () => {
      const { base, level } = await open(5);
      const begun = level.rotateDataKey(dataKeyOf(2), slow).then(
        (rotation) => rotation.finished,
        (error: unknown) => Promise.reject(error),
      );
      await Promise.all([assert.rejects(begun), level.close()]);
      const again = await openOver(base, { dataKey: dataKeyOf(2), previousDataKey: dataKeyOf(1) });
      await assertFilled(again, 5);
      await again.close();
    });

    it("begins nothing when the header can't be written", async () => {
      const { base, level } = await open(5);
      const batch = base.batch.bind(base);
      base.batch = (async () => {
        throw new Error("disk full");
      }) as unknown as typeof base.batch;
      await assert.rejects(level.rotateDataKey(dataKeyOf(2)), /disk full/);
      base.batch = batch;
      assert.equal(level.generation, 1);
      await level.put("a", "1");
      await (await level.rotateDataKey(dataKeyOf(2), fast)).finished;
      assert.equal(await level.get("a"), "1");
    });
  });
