import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EncryptedLevel } from "../../../src/level/index.ts";
import { dataKeyOf, memoryBase, openOver, storedEntries } from "./sealed-level.ts";

const corruption = { code: "LEVEL_CORRUPTION" };

for (const encryptKeyNames of [false, true])
  describe(`an encrypted level with ${encryptKeyNames ? "encrypted" : "plain"} key names`, () => {
    const open = () => {
      const base = memoryBase();
      return openOver(base, { encryptKeyNames }).then((level) => ({ base, level }));
    };

    it("refuses a value altered in the base by every way of reading", async () => {
      const { base, level } = await open();
      await level.put("a", "a value");
      const [[storedKey, sealed] = []] = await storedEntries(base);
      assert.ok(storedKey !== undefined && sealed !== undefined);
      for (let at = 0; at < sealed.length; at++) {
        const changed = Buffer.from(sealed);
        changed.writeUInt8(changed.readUInt8(at) ^ 0x80, at);
        await base.put(storedKey, changed);
        await assert.rejects(level.get("a"), corruption);
      }
      assert.throws(() => level.getSync("a"), corruption);
      await assert.rejects(level.getMany(["b", "a"]), corruption);
      await assert.rejects(level.iterator().all(), corruption);
      await assert.rejects(level.iterator().next(), corruption);
      await assert.rejects(level.values().nextv(5), corruption);
      await base.put(storedKey, Buffer.alloc(0));
      await assert.rejects(level.get("a"), corruption);
      await base.put(storedKey, sealed);
      assert.equal(await level.get("a"), "a value");
    });

    it("refuses values that were exchanged between two keys", async () => {
      const { base, level } = await open();
      await level.batch([
        { type: "put", key: "a", value: "1" },
        { type: "put", key: "b", value: "2" },
      ]);
      const [first, second] = await storedEntries(base);
      assert.ok(first !== undefined && second !== undefined);
      await base.put(first[0], second[1]);
      await base.put(second[0], first[1]);
      await assert.rejects(level.get("a"), corruption);
      await assert.rejects(level.get("b"), corruption);
    });

    it("refuses a value that was copied to a new key or another sublevel", async () => {
      const { base, level } = await open();
      const [left, right] = [level.sublevel("left"), level.sublevel("right")];
      await left.put("a", "1");
      const [[, sealed] = []] = await storedEntries(base);
      await right.put("a", "other");
      for (const [storedKey] of await storedEntries(base)) await base.put(storedKey, sealed as Buffer);
      assert.equal(await left.get("a"), "1");
      await assert.rejects(right.get("a"), corruption);
    });

    it("refuses the values of another store under the same data key", async () => {
      const [mine, theirs] = [await open(), await open()];
      for (const { level } of [mine, theirs]) await level.put("a", "1");
      for (const [storedKey, sealed] of await storedEntries(theirs.base)) await mine.base.put(storedKey, sealed);
      if (encryptKeyNames) await assert.rejects(mine.level.keys().all(), corruption);
      else await assert.rejects(mine.level.get("a"), corruption);
    });

    it("does not notice that an entry was deleted, or put back to its own older value: as documented", async () => {
      const { base, level } = await open();
      await level.put("a", "old");
      const [[storedKey, older] = []] = await storedEntries(base);
      await level.put("a", "new");
      await base.put(storedKey as Buffer, older as Buffer);
      assert.equal(await level.get("a"), "old");
      await base.del(storedKey as Buffer);
      assert.equal(await level.get("a"), undefined);
    });

    it("goes on after a refused entry when it is iterated", async () => {
      const { base, level } = await open();
      await level.batch(["a", "b", "c"].map((key) => ({ type: "put", key, value: key })));
      const [, middle] = await storedEntries(base);
      await base.put((middle as [Buffer, Buffer])[0], Buffer.alloc(60));
      const iterator = level.iterator();
      assert.notEqual(await iterator.next(), undefined);
      await assert.rejects(iterator.next(), corruption);
      assert.notEqual(await iterator.next(), undefined);
      assert.equal(await iterator.next(), undefined);
      await iterator.close();
    });

    it("keeps sublevels apart in reads, scans and clears", async () => {
      const { level } = await open();
      const left = level.sublevel("left");
      const deep = left.sublevel("deep", { valueEncoding: "json" });
      const right = level.sublevel("right");
      await left.put("a", "1");
      await deep.put("a", "2");
      await right.put("a", "3");
      await level.put("a", "4");
      assert.deepEqual(await right.iterator().all(), [["a", "3"]]);
      assert.deepEqual(await deep.keys().all(), ["a"]);
      assert.deepEqual((await left.values().all()).length, 2);
      assert.deepEqual((await level.keys().all()).length, 4);
      await left.clear({ limit: 0 });
      assert.deepEqual((await left.keys().all()).length, 2);
      await left.clear();
      assert.deepEqual(await left.keys().all(), []);
      assert.equal(await deep.get("a"), undefined);
      assert.equal(await right.get("a"), "3");
      assert.equal(await level.get("a"), "4");
      await level.clear({ limit: 1 });
      assert.equal((await level.keys().all()).length, 1);
      await level.clear();
      assert.deepEqual(await level.keys().all(), []);
    });

    it("reads a snapshot as it was", async () => {
      const { level } = await open();
      await level.put("a", "1");
      const snapshot = level.snapshot();
      await level.put("a", "2");
      await level.put("b", "3");
      assert.equal(await level.get("a", { snapshot }), "1");
      assert.equal(level.getSync("a", { snapshot }), "1");
      assert.deepEqual(await level.getMany(["a", "b"], { snapshot }), ["1", undefined]);
      assert.deepEqual(await level.hasMany(["a", "b"], { snapshot }), [true, false]);
      assert.deepEqual(await level.iterator({ snapshot }).all(), [["a", "1"]]);
      await snapshot.close();
      assert.equal(await level.get("a"), "2");
    });

    it("reads many names in parts as it reads them at once", async () => {
      const { level } = await open();
      const names = Array.from({ length: 150 }, (_, index) => `name ${index}`);
      await level.batch(names.map((key) => ({ type: "put", key, value: `of ${key}` })));
      const wanted = [...names, "missing", ...names.slice(0, 20), "also missing"];
      const expected = wanted.map((name) => (name.endsWith("missing") ? undefined : `of ${name}`));
      assert.deepEqual(await level.getMany(wanted), expected);
    });

    it("takes empty names and values, long ones, and every encoding", async () => {
      const { level } = await open();
      for (const key of ["", "k".repeat(70_000), "名"]) {
        await level.put(key, "");
        assert.equal(await level.get(key), "");
      }
      await level.put(new Uint8Array([0, 255]), { a: [1] } as never, { keyEncoding: "view", valueEncoding: "json" });
      assert.deepEqual(await level.get(Buffer.of(0, 255), { keyEncoding: "buffer", valueEncoding: "json" }), {
        a: [1],
      });
    });
  });

describe("encrypted key names", () => {
  it("refuse what needs an order", async () => {
    const level = await openOver(memoryBase(), { encryptKeyNames: true });
    const sublevel = level.sublevel("sub");
    const unsupported = { code: "LEVEL_NOT_SUPPORTED" };
    for (const options of [
      { gt: "a" },
      { gte: "a" },
      { lt: "a" },
      { lte: "a" },
      { reverse: true },
      { gte: "a", lte: "b" },
      { gte: "!a", lte: "!b" },
      { gte: "x!", lte: 'x"' },
    ])
      for (const each of [level, sublevel as unknown as EncryptedLevel]) {
        assert.throws(() => each.iterator(options), unsupported);
        assert.throws(() => each.keys(options), unsupported);
        assert.throws(() => each.values(options), unsupported);
        await assert.rejects(each.clear(options), unsupported);
      }
    assert.throws(() => level.iterator().seek("a"), unsupported);
    await assert.rejects(level.approximateSize("a", "b"), unsupported);
    await assert.rejects(level.compactRange("a", "b"), unsupported);
    assert.equal(level.supports.seek, false);
  });

  it("are refused when a stored name was changed in any bit or cut", async () => {
    const base = memoryBase();
    const level = await openOver(base, { encryptKeyNames: true });
    await level.put("a name", "1");
    const [[storedKey, sealed] = []] = await storedEntries(base);
    assert.ok(storedKey !== undefined && sealed !== undefined);
    await base.del(storedKey);
    const refused = async (changed: Buffer) => {
      await base.put(changed, sealed);
      await assert.rejects(level.keys().all(), corruption);
      await base.del(changed);
    };
    for (let bit = 8; bit < storedKey.length * 8; bit++) {
      const changed = Buffer.from(storedKey);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      await refused(changed);
    }
    for (let length = 1; length < storedKey.length; length++) await refused(storedKey.subarray(0, length));
    await refused(Buffer.concat([storedKey, Buffer.of(0)]));
  });

  it("are the same stored key each time and show nothing of the name but its length", async () => {
    const base = memoryBase();
    const level = await openOver(base, { encryptKeyNames: true });
    await level.put("one name", "1");
    await level.put("one name", "2");
    await level.put("two name", "3");
    const stored = (await storedEntries(base)).map(([key]) => key);
    assert.equal(stored.length, 2);
    assert.equal(stored[0]?.length, stored[1]?.length);
    assert.equal(stored[0]?.length, 1 + 4 + 16 + "one name".length);
    for (const key of stored) assert.ok(!key.includes("name"));
  });

  it("are taken from the header when the option is left out", async () => {
    const base = memoryBase();
    await (await openOver(base, { encryptKeyNames: true })).close();
    const level = await openOver(base);
    assert.equal(level.supports.seek, false);
    assert.throws(() => level.iterator({ gt: "a" }), { code: "LEVEL_NOT_SUPPORTED" });
  });
});

describe("an encrypted level by node:crypto alone", () => {
  it("reads what was written through OpenSSL directly, and the other way round", async () => {
    const base = memoryBase();
    for (const [directOpenssl, key] of [
      [true, "a"],
      [false, "b"],
      [true, "c"],
    ] as const) {
      const level = new EncryptedLevel(base, { dataKey: dataKeyOf(1), directOpenssl });
      await level.put(key, key);
      for (const [name, value] of await level.iterator().all()) assert.equal(name, value);
      await level.close();
    }
  });
});
