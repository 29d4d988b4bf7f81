import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { ClassicLevel } from "classic-level";
import { MemoryLevel } from "memory-level";
import { headerKey } from "../../../src/level/header.ts";
import {
  EncryptedLevel,
  type EncryptedLevelOptions,
  type GivenLevel,
  type levelErrors,
} from "../../../src/level/index.ts";
import { classicSupports } from "../../../src/level/manifest.ts";
import { dataKeyOf, memoryBase, openOver, storedEntries } from "./sealed-level.ts";

const folder = mkdtempSync(join(tmpdir(), "open-store-"));
after(() => rmSync(folder, { recursive: true }));
let count = 0;
const newLocation = () => join(folder, String(count++));

/** What `open()` rejects with when the reason is `code`. */
const notOpen = (code: keyof typeof levelErrors) => (error: Error & { code?: string }) => {
  assert.equal(error.code, "LEVEL_DATABASE_NOT_OPEN");
  assert.equal((error.cause as { code?: string }).code, code, String(error.cause));
  return true;
};

function filesOf(location: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(location).map((name) => [name, readFileSync(join(location, name)).toString("base64")]),
  );
}

describe("opening an encrypted level", () => {
  it("gives back what was put before, under the same data key", async () => {
    const location = newLocation();
    const level = new EncryptedLevel(location, { dataKey: dataKeyOf(1), suite: "sm" });
    await level.put("a", "1");
    await level.close();
    const again = new EncryptedLevel(location, { dataKey: dataKeyOf(1) });
    assert.equal(await again.get("a"), "1");
    await again.close();
  });

  it("refuses a wrong data key and leaves every file as it was", async () => {
    const location = newLocation();
    const level = new EncryptedLevel(location, { dataKey: dataKeyOf(1) });
    await level.put("a", "1");
    await level.close();
    const before = filesOf(location);
    await assert.rejects(new EncryptedLevel(location, { dataKey: dataKeyOf(2) }).open(), notOpen("LEVEL_WRONG_KEY"));
    assert.deepEqual(filesOf(location), before);
  });

  it("refuses a wrong data key also without the header's copy, and writes no entry", async () => {
    const base = memoryBase();
    const level = await openOver(base);
    await level.put("a", "1");
    await level.close();
    await base.open();
    const before = await base.iterator().all();
    await assert.rejects(openOver(base, { dataKey: dataKeyOf(2) }), notOpen("LEVEL_WRONG_KEY"));
    await base.open();
    assert.deepEqual(await base.iterator().all(), before);
  });

  it("writes the header's copy again when the file was lost", async () => {
    const location = newLocation();
    const open = async () => {
      const level = new EncryptedLevel(location, { dataKey: dataKeyOf(1) });
      await level.open();
      await level.close();
    };
    await open();
    rmSync(join(location, "strongroom-level-header"));
    await open();
    assert.ok(readdirSync(location).includes("strongroom-level-header"));
  });

  it("refuses an altered copy of the header, and ignores one that was left where no database is", async () => {
    const location = newLocation();
    const level = new EncryptedLevel(location, { dataKey: dataKeyOf(1) });
    await level.open();
    await level.close();
    const copy = join(location, "strongroom-level-header");
    const record = readFileSync(copy);
    for (const altered of [record.subarray(0, 20), Buffer.alloc(100_000), flipped(record, 60), flipped(record, 5)]) {
      writeFileSync(copy, altered);
      const again = new EncryptedLevel(location, { dataKey: dataKeyOf(1) });
      await assert.rejects(again.open(), (error: Error) => {
        assert.match((error.cause as { code: string }).code, /^LEVEL_(CORRUPTION|WRONG_KEY)$/);
        return true;
      });
    }
    await ClassicLevel.destroy(location);
    const fresh = new EncryptedLevel(location, { dataKey: dataKeyOf(2) });
    await fresh.open();
    await fresh.close();
  });

  it("opens wherever a crash left the header's copy behind or ahead of the header, and refuses the keys it should", async () => {
    const location = newLocation();
    const copyOf = (place: string) => join(place, "strongroom-level-header");
    const open = async (place: string, options: Omit<EncryptedLevelOptions, "dataKey">, fill: number) => {
      const level = new EncryptedLevel(place, { dataKey: dataKeyOf(fill), ...options });
      await level.open();
      return level;
    };
    const level = await open(location, {}, 1);
    await level.put("a", "1");
    await level.close();
    const before = newLocation();
    cpSync(location, before, { recursive: true });

    const rotating = await open(location, {}, 1);
    await rotating.rotateDataKey(dataKeyOf(2), { maxEntriesPerSecond: 1 });
    await rotating.close();
    const announced = readFileSync(copyOf(location));
    const ended = await open(location, { previousDataKey: dataKeyOf(1) }, 2);
    await ended.rotation?.finished;
    await ended.close();
    const files = filesOf(location);
    await assert.rejects(open(location, {}, 1), notOpen("LEVEL_WRONG_KEY"));
    assert.deepEqual(filesOf(location), files);

    // The copy was announced, the header not yet written.
    writeFileSync(copyOf(before), announced);
    await assert.rejects(open(before, {}, 2), notOpen("LEVEL_WRONG_KEY"));
    const old = await open(before, {}, 1);
    assert.equal(await old.get("a"), "1");
    await old.close();
    // The header was settled, the copy not yet.
    writeFileSync(copyOf(location), announced);
    await assert.rejects(open(location, {}, 1), notOpen("LEVEL_WRONG_KEY"));
    const renewed = await open(location, {}, 2);
    assert.equal(await renewed.get("a"), "1");
    await renewed.close();
  });

  it("refuses a database with plain entries", async () => {
    const base = memoryBase();
    await base.put(Buffer.from("a"), Buffer.from("plain"));
    await assert.rejects(openOver(base), notOpen("LEVEL_PLAIN_DATABASE"));
    await base.open();
    assert.deepEqual(await base.keys().all(), [Buffer.from("a")]);
  });

  it("makes no store where none is and createIfMissing is false", async () => {
    const base = memoryBase();
    await assert.rejects(openOver(base, { createIfMissing: false }), notOpen("LEVEL_PLAIN_DATABASE"));
    await base.open();
    assert.deepEqual(await base.keys().all(), []);
  });

  it("refuses another suite or treatment of key names than the header records", async () => {
    const base = memoryBase();
    await (await openOver(base, { suite: "sm" })).close();
    await assert.rejects(openOver(base, { suite: "intl" }), notOpen("LEVEL_SETTING_MISMATCH"));
    await assert.rejects(openOver(base, { encryptKeyNames: true }), notOpen("LEVEL_SETTING_MISMATCH"));
    await (await openOver(base)).close();
  });

  it("refuses a data key of another length at once", () => {
    for (const bytes of [0, 16, 31, 33]) {
      const dataKey = dataKeyOf(1);
      Object.defineProperty(dataKey, "byteLength", { value: bytes });
      assert.throws(() => new EncryptedLevel(newLocation(), { dataKey }), RangeError);
    }
  });

  it("refuses a base that is no database, or keeps text only", () => {
    for (const base of ["", {}, undefined])
      assert.throws(() => new EncryptedLevel(base as GivenLevel, { dataKey: dataKeyOf(1) }), TypeError);
    const textOnly = new MemoryLevel({ storeEncoding: "utf8" });
    const notSupported = { code: "LEVEL_ENCODING_NOT_SUPPORTED" };
    assert.throws(() => new EncryptedLevel(textOnly, { dataKey: dataKeyOf(1) }), notSupported);
  });

  it("refuses a data key that was wiped, for a new store and for an old one", async () => {
    const base = memoryBase();
    const dataKey = dataKeyOf(1);
    dataKey[Symbol.dispose]();
    await assert.rejects(openOver(base, { dataKey }), notOpen("LEVEL_KEY_MISSING"));
    const level = await openOver(base);
    await level.close();
    await assert.rejects(openOver(base, { dataKey }), notOpen("LEVEL_KEY_MISSING"));
  });

  it("needs the caller's data key only until it is open", async () => {
    const base = memoryBase();
    const dataKey = dataKeyOf(1);
    const level = await openOver(base, { dataKey });
    dataKey[Symbol.dispose]();
    await level.put("a", "1");
    assert.equal(await level.get("a"), "1");
    await level.close();
    await assert.rejects(level.open(), notOpen("LEVEL_KEY_MISSING"));
  });

  it("refuses every changed bit and every cut of the header", async () => {
    const base = memoryBase();
    await (await openOver(base)).close();
    await base.open();
    const header = (await base.get(headerKey)) as Buffer;
    const refused = async (record: Buffer) => {
      await base.open();
      await base.put(headerKey, record);
      await assert.rejects(openOver(base), (error: Error) => {
        assert.match((error.cause as { code: string }).code, /^LEVEL_(CORRUPTION|WRONG_KEY|SETTING_MISMATCH)$/);
        return true;
      });
    };
    for (let bit = 0; bit < header.length * 8; bit++) await refused(flipped(header, bit >> 3, 1 << (bit & 7)));
    for (let length = 0; length < header.length; length++) await refused(header.subarray(0, length));
    await refused(Buffer.concat([header, Buffer.of(0)]));
    await base.open();
    await base.put(headerKey, header);
    await (await openOver(base)).close();
  });

  it("refuses another store's header under the same data key for its entries", async () => {
    const [first, second] = [memoryBase(), memoryBase()];
    for (const base of [first, second]) {
      const level = await openOver(base);
      await level.put("a", "1");
      await level.close();
      await base.open();
    }
    await first.put(headerKey, (await second.get(headerKey)) as Buffer);
    const level = await openOver(first);
    await assert.rejects(level.get("a"), { code: "LEVEL_CORRUPTION" });
  });
});

describe("the header record", () => {
  it("is outside every scan, clear and size", async () => {
    const base = memoryBase();
    const level = await openOver(base);
    await level.put("a", "1");
    assert.deepEqual(await level.keys().all(), ["a"]);
    assert.deepEqual(await level.keys({ gte: "" }).all(), ["a"]);
    assert.deepEqual(await level.keys({ lt: "\u00ff", reverse: true }).all(), ["a"]);
    await level.clear();
    await level.clear({ gte: "" });
    assert.notEqual(await base.get(headerKey), undefined);
    await level.close();
    await (await openOver(base)).close();
  });

  it("can't be reached by a name that looks like it", async () => {
    const base = memoryBase();
    const level = await openOver(base);
    const header = await base.get(headerKey);
    const name = { keyEncoding: "buffer" } as const;
    await level.put(headerKey, "mine", name);
    await level.del(Buffer.alloc(0), name);
    assert.deepEqual(await base.get(headerKey), header);
    assert.equal(await level.get(headerKey, { keyEncoding: "buffer", valueEncoding: "utf8" }), "mine");
  });
});

describe("an encrypted level over classic-level", () => {
  it("declares what classic-level itself declares", () => {
    const plain = new ClassicLevel(newLocation(), { createIfMissing: false });
    plain.on("error", () => {});
    const { encodings: _encodings, ...declared } = plain.supports;
    for (const [ability, value] of Object.entries(classicSupports))
      assert.deepEqual(declared[ability as keyof typeof declared], value, ability);
    const ours = new EncryptedLevel(plain, { dataKey: dataKeyOf(1), createIfMissing: false });
    const fromFolder = new EncryptedLevel(newLocation(), { dataKey: dataKeyOf(1), createIfMissing: false });
    assert.deepEqual(ours.supports, fromFolder.supports);
  });

  it("passes on approximateSize and compactRange", async () => {
    const level = new EncryptedLevel(newLocation(), { dataKey: dataKeyOf(1) });
    const value = "v".repeat(1000);
    await level.batch(Array.from({ length: 500 }, (_, index) => ({ type: "put", key: `key ${index}`, value })));
    await level.compactRange("", "\uffff");
    assert.ok((await level.approximateSize("key 1", "key 9")) > 100_000);
    assert.equal(await level.approximateSize("x", "z"), 0);
    await level.close();
    await assert.rejects(level.approximateSize("a", "b"), { code: "LEVEL_DATABASE_NOT_OPEN" });
  });

  it("keeps no value and no encrypted name in plain", async () => {
    const location = newLocation();
    const level = new EncryptedLevel(location, { dataKey: dataKeyOf(1), encryptKeyNames: true });
    await level.put("a canary for a name", "a canary for a value");
    await level.close();
    for (const [name, content] of Object.entries(filesOf(location)))
      assert.ok(!Buffer.from(content, "base64").includes("canary"), name);
  });
});

describe("two levels over one base", () => {
  it("store the same entry as different bytes", async () => {
    const bases = [memoryBase(), memoryBase()];
    for (const base of bases) await (await openOver(base, { encryptKeyNames: true })).put("a", "1");
    const [[first] = [], [second] = []] = await Promise.all(bases.map(storedEntries));
    assert.notDeepEqual(first, second);
  });
});

function flipped(bytes: Buffer, at: number, mask = 1): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(at) ^ mask, at);
  return changed;
}
