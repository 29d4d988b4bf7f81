import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it, type TestContext } from "node:test";
import { SecretBuffer } from "../../../../../src/crypto/secret-buffer.ts";
import { hkdf, type Suite, suites } from "../../../../../src/crypto/suite.ts";
import { blockCiphers } from "../../../../../src/volume/sealfs/cipher/block-ciphers.ts";
import { CipherCache } from "../../../../../src/volume/sealfs/keys/cipher-cache.ts";
import { KeyRing } from "../../../../../src/volume/sealfs/keys/key-ring.ts";
import type { KeyTable } from "../../../../../src/volume/sealfs/keys/key-table.ts";
import { keysReport } from "../../../../../src/volume/sealfs/keys/keys-report.ts";
import type { ZoneRule } from "../../../../../src/volume/sealfs/keys/rules.ts";
import { type KeyEvent, VolumeKeys } from "../../../../../src/volume/sealfs/keys/volume-keys.ts";
import type { ZoneKeys } from "../../../../../src/volume/sealfs/stored-file.ts";
import { RecordedSystem } from "./recorded-system.ts";
import { MasterKey, TableSetting } from "./table-setting.ts";

const rules: readonly ZoneRule[] = [
  { pattern: "data/*/*", becomes: "sealed" },
  { pattern: "data/open/*", becomes: "plain" },
];
const shard = ["data", "db", "1"];
const fileId = Buffer.alloc(16, 1);
const epoch = Buffer.alloc(16, 2);
const place = Buffer.from("place");

interface Opened {
  readonly keys: VolumeKeys;
  readonly table: KeyTable;
  readonly system: RecordedSystem;
  readonly events: KeyEvent[];
  readonly setting: TableSetting;
}

async function volumeKeys(t: TestContext, suite: Suite = suites.intl): Promise<Opened> {
  const system = new RecordedSystem();
  const setting = new TableSetting(t, { system, suite });
  const table = await setting.create({ rules });
  const events: KeyEvent[] = [];
  const keys = withEvents(table, events);
  t.after(() => keys[Symbol.dispose]());
  return { keys, table, system, events, setting };
}

function withEvents(table: KeyTable, events: KeyEvent[]): VolumeKeys {
  return new VolumeKeys(table, { names: "plain", ciphers: blockCiphers(), onEvent: (event) => events.push(event) });
}

function sealWith(keys: ZoneKeys | undefined, generation = keys?.generation ?? 0, id = fileId, at = epoch): Buffer {
  using cipher = (keys ?? assert.fail("the zone is plain")).fileCipher(generation, id, at);
  const sealed = Buffer.alloc(33);
  cipher.seal(place, Buffer.from("block"), sealed);
  return sealed;
}

function opens(keys: ZoneKeys | undefined, sealed: Buffer, generation = 1, id = fileId, at = epoch): boolean {
  using cipher = (keys ?? assert.fail("the zone is plain")).fileCipher(generation, id, at);
  return cipher.open(place, sealed, Buffer.alloc(5));
}

describe("the keys of a mounted volume", () => {
  it("give each folder the zone of the deepest folder at or above it", async (t) => {
    const { keys } = await volumeKeys(t);
    const own = keys.zoneOf([]);
    assert.deepEqual(keys.zoneForNewFolder(["data"]).zoneId, own.zoneId);
    assert.deepEqual(keys.zoneForNewFolder(["data", "db"]).zoneId, own.zoneId);
    const zone = keys.zoneForNewFolder(shard);
    assert.notDeepEqual(zone.zoneId, own.zoneId);
    assert.deepEqual(keys.zoneForNewFolder([...shard, "index"]).zoneId, zone.zoneId);
    assert.deepEqual(keys.zoneOf([...shard, "index", "0"]).zoneId, zone.zoneId);
    assert.deepEqual(keys.zoneOf(["data", "db", "2"]).zoneId, own.zoneId);
    assert.equal(keys.zoneForNewFolder(["data", "open", "1"]).keys, undefined);
    assert.notEqual(own.keys, undefined);
  });

  it("know which folders cannot be renamed", async (t) => {
    const { keys, table } = await volumeKeys(t);
    table.makeZone(["x", "y"], "plain");
    for (const path of [[], ["data"], ["data", "any"], ["data", "any", "1"], ["x"], ["x", "y"]])
      assert.ok(keys.holdsZones(path), path.join("/"));
    for (const path of [["wal"], ["data", "any", "1", "z"], ["x", "y", "z"], ["x", "other"], ["xx"]])
      assert.ok(!keys.holdsZones(path), path.join("/"));
  });

  it("seal each file, epoch and generation of each zone differently", async (t) => {
    const { keys } = await volumeKeys(t);
    const zone = keys.zoneForNewFolder(shard);
    const other = keys.zoneForNewFolder(["data", "db", "2"]);
    const sealed = sealWith(zone.keys);
    keys.rotate(zone.zoneId);
    assert.equal(zone.keys?.generation, 2);
    assert.ok(opens(zone.keys, sealed));
    assert.ok(!opens(zone.keys, sealed, 2));
    assert.ok(!opens(zone.keys, sealed, 1, randomBytes(16)));
    assert.ok(!opens(zone.keys, sealed, 1, fileId, randomBytes(16)));
    assert.ok(!opens(other.keys, sealed));
    assert.throws(() => sealWith(zone.keys, 1, Buffer.alloc(15)), RangeError);
    assert.throws(() => sealWith(zone.keys, 1, fileId, Buffer.alloc(17)), RangeError);
  });

  for (const suite of [suites.intl, suites.sm])
    it(`derive a file's key as the format says, suite ${suite.name}`, async (t) => {
      const { keys, table } = await volumeKeys(t, suite);
      const zone = keys.zoneForNewFolder(shard);
      const sealed = sealWith(zone.keys);
      using dataKey = table.unwrap(table.zoneOf(shard), 1);
      const info = Buffer.concat([Buffer.from("strongroom/sealfs/v1/file"), zone.zoneId, Buffer.of(0, 0, 0, 1)]);
      using cipher = blockCiphers().make(
        suite,
        hkdf(suite, dataKey, Buffer.concat([epoch, fileId]), info, suite.keyBytes),
      );
      assert.ok(cipher.open(place, sealed, Buffer.alloc(5)));
    });

  it("open after a remount what was sealed before", async (t) => {
    const { keys, setting } = await volumeKeys(t);
    const sealed = sealWith(keys.zoneForNewFolder(shard).keys);
    const mac = keys.mac(Buffer.from("name"));
    const attribute = keys.seal(Buffer.from("id"), Buffer.from("value"));
    keys[Symbol.dispose]();
    const again = withEvents(await setting.open({ closedCleanly: true }), []);
    assert.ok(opens(again.zoneOf(shard).keys, sealed));
    assert.deepEqual(again.mac(Buffer.from("name")), mac);
    assert.equal(again.open(Buffer.from("id"), attribute)?.toString(), "value");
  });

  it("answer ENOKEY for a generation that is not there", async (t) => {
    const { keys } = await volumeKeys(t);
    const zone = keys.zoneForNewFolder(shard);
    for (const generation of [0, 2, 1000]) assert.throws(() => sealWith(zone.keys, generation), { code: "ENOKEY" });
    keys.rotate(zone.zoneId);
    keys.table.retireGeneration(zone.zoneId, 1);
    keys.destroyGeneration(zone.zoneId, 1, 0);
    assert.throws(() => sealWith(zone.keys, 1), { code: "ENOKEY" });
    sealWith(zone.keys);
  });

  it("answer ENOKEY in a destroyed zone, also through a file that is open, until its folder is removed", async (t) => {
    const { keys } = await volumeKeys(t);
    const zone = keys.zoneForNewFolder(shard);
    const held = zone.keys?.fileCipher(1, fileId, epoch) ?? assert.fail();
    keys.destroyZone(zone.zoneId);
    assert.throws(() => held.seal(place, Buffer.alloc(5), Buffer.alloc(33)), { code: "ENOKEY" });
    assert.throws(() => held.open(place, Buffer.alloc(33), Buffer.alloc(5)), { code: "ENOKEY" });
    held[Symbol.dispose]();
    assert.throws(() => sealWith(zone.keys), { code: "ENOKEY" });
    assert.deepEqual(keys.zoneOf(shard).zoneId, zone.zoneId);
    assert.throws(() => sealWith(keys.zoneOf(shard).keys), { code: "ENOKEY" });
    keys.folderRemoved(shard);
    assert.deepEqual(keys.zoneOf(shard).zoneId, keys.zoneOf([]).zoneId);
    sealWith(keys.zoneForNewFolder(shard).keys);
  });

  it("go with the folder, but not from under files that are still open", async (t) => {
    const { keys, table } = await volumeKeys(t);
    const zone = keys.zoneForNewFolder(shard);
    const sealed = sealWith(zone.keys);
    keys.folderRemoved(["data"]);
    keys.folderRemoved([]);
    assert.ok(table.zone(zone.zoneId) !== undefined);
    keys.folderRemoved(shard);
    keys.folderRemoved(shard);
    assert.equal(table.zone(zone.zoneId), undefined);
    assert.ok(opens(zone.keys, sealed));
    assert.notDeepEqual(keys.zoneForNewFolder(shard).zoneId, zone.zoneId);
  });

  it("keep the zone that an earlier folder of the path left, unless the rules say something else now", async (t) => {
    const { keys, table } = await volumeKeys(t);
    const first = keys.zoneForNewFolder(shard);
    assert.deepEqual(keys.zoneForNewFolder(shard).zoneId, first.zoneId);
    table.setRules([{ pattern: "data/*/*", becomes: "plain" }]);
    assert.deepEqual(keys.zoneOf(shard).zoneId, first.zoneId);
    assert.equal(keys.zoneForNewFolder(shard).keys, undefined);
    table.setRules([]);
    assert.deepEqual(keys.zoneForNewFolder(shard).zoneId, keys.zoneOf([]).zoneId);
  });

  it("tell a program ENOSPC, and an operator why a zone stayed", async (t) => {
    const { keys, system, events } = await volumeKeys(t);
    const zone = keys.zoneForNewFolder(shard);
    system.failing = (call) => (call === "write" ? "ENOSPC" : undefined);
    assert.throws(() => keys.zoneForNewFolder(["data", "db", "2"]), { name: "FsError", code: "ENOSPC" });
    keys.folderRemoved(shard);
    assert.deepEqual(
      events.map(({ what }) => what),
      ["zone-not-removed"],
    );
    system.failing = (call) => (call === "write" ? "EIO" : undefined);
    assert.throws(() => keys.zoneForNewFolder(["data", "db", "2"]), { name: "FsError", code: "EIO" });
    system.failing = () => undefined;
    assert.deepEqual(keys.zoneForNewFolder(shard).zoneId, zone.zoneId);
  });

  it("answer ENOKEY in sealed zones without the private key, and work in the others", async (t) => {
    const master = new MasterKey();
    const setting = new TableSetting(t, { suite: suites.sm });
    const table = await setting.create({ rules }, { wrapper: master.wrapper() });
    const sealed = sealWith(withEvents(table, []).zoneForNewFolder(shard).keys);
    table.close();
    const without = withEvents(await setting.open(), []);
    const { keys } = without.zoneOf(shard);
    assert.equal(keys?.generation, 1);
    assert.throws(() => opens(keys, sealed), { code: "ENOKEY" });
    assert.throws(() => without.zoneForNewFolder(["data", "db", "2"]), { code: "ENOKEY" });
    assert.equal(without.zoneForNewFolder(["data", "open", "1"]).keys, undefined);
    sealWith(without.zoneOf([]).keys);
    without.mac(Buffer.alloc(1));
    without[Symbol.dispose]();
    const withKey = withEvents(await setting.open({}, { wrapper: master.wrapper() }), []);
    assert.ok(opens(withKey.zoneOf(shard).keys, sealed));
  });

  it("report an append that was interrupted", async (t) => {
    const { keys, system, setting } = await volumeKeys(t);
    keys[Symbol.dispose]();
    const file = system.files().get("keys") ?? assert.fail();
    const torn = RecordedSystem.holding(new Map([["keys", Buffer.concat([file, Buffer.alloc(9, 1)])]]));
    const events: KeyEvent[] = [];
    withEvents(await setting.open({}, { system: torn }), events);
    assert.deepEqual(events, [{ what: "torn-table", detail: "dropped 9 bytes of an interrupted append" }]);
  });

  it("stay usable over a re-keying", async (t) => {
    const { keys, table } = await volumeKeys(t);
    const zone = keys.zoneForNewFolder(shard);
    const sealed = sealWith(zone.keys);
    using next = SecretBuffer.random(32);
    table.beginRekey(next).finish();
    assert.ok(opens(zone.keys, sealed));
    keys.rotate(zone.zoneId);
    sealWith(zone.keys);
  });
});

describe("what names, links and attributes are sealed with", () => {
  for (const suite of [suites.intl, suites.sm])
    it(`opens only where it was sealed, suite ${suite.name}`, async (t) => {
      const { keys } = await volumeKeys(t, suite);
      const sealed = keys.seal(Buffer.from("file 1"), Buffer.from("target"));
      assert.equal(sealed.length, 6 + 28);
      assert.equal(keys.open(Buffer.from("file 1"), sealed)?.toString(), "target");
      assert.equal(keys.open(Buffer.from("file 2"), sealed), undefined);
      for (let cut = 0; cut < sealed.length; cut++)
        assert.equal(keys.open(Buffer.from("file 1"), sealed.subarray(0, cut)), undefined);
      for (let at = 0; at < sealed.length; at++) {
        const bad = Buffer.from(sealed);
        bad.writeUInt8(bad.readUInt8(at) ^ 1, at);
        assert.equal(keys.open(Buffer.from("file 1"), bad), undefined);
      }
      assert.equal(keys.open(Buffer.alloc(0), keys.seal(Buffer.alloc(0), Buffer.alloc(0)))?.length, 0);
      const iv = randomBytes(16);
      const hidden = keys.crypt(iv, Buffer.from("name"));
      assert.notEqual(hidden.toString(), "name");
      assert.equal(keys.crypt(iv, hidden).toString(), "name");
      assert.throws(() => keys.crypt(Buffer.alloc(15), hidden), RangeError);
      assert.equal(keys.mac(Buffer.from("a")).length, 32);
      assert.notDeepEqual(keys.mac(Buffer.from("a")), keys.mac(Buffer.from("b")));
    });

  it("is another in another volume", async (t) => {
    const [one, two] = [(await volumeKeys(t)).keys, (await volumeKeys(t)).keys];
    assert.notDeepEqual(one.mac(Buffer.from("a")), two.mac(Buffer.from("a")));
    assert.equal(two.open(place, one.seal(place, Buffer.from("x"))), undefined);
  });
});

describe("keys in memory", () => {
  it("are bounded in number, and unwrapped once while they are kept", async (t) => {
    const table = await new TableSetting(t).create();
    const { zone } = table.makeZone(shard, "sealed");
    let unwrapped = 0;
    const source = {
      suite: table.suite,
      zone: (zoneId: Buffer) => table.zone(zoneId),
      unwrap: (one: typeof zone, generation: number) => {
        unwrapped += 1;
        return table.unwrap(one, generation);
      },
    };
    const ring = new KeyRing(source, blockCiphers());
    const keys = ring.keysOf(zone);
    for (let i = 0; i < 1000; i++) {
      const id = Buffer.alloc(16);
      id.writeUInt32BE(i);
      keys.fileCipher(1, id, epoch)[Symbol.dispose]();
    }
    assert.equal(unwrapped, 1);
    assert.deepEqual(ring.held, { zoneKeys: 1, fileCiphers: 512 });
    for (let i = 0; i < 5000; i++) ring.adopt(randomBytes(16), 1, SecretBuffer.random(32));
    assert.equal(ring.held.zoneKeys, 4096);
    ring[Symbol.dispose]();
    assert.deepEqual(ring.held, { zoneKeys: 0, fileCiphers: 0 });
  });

  it("are wiped when nobody holds them and they are not among the latest", () => {
    const wiped: string[] = [];
    const make = (name: string) => () => ({
      seal() {},
      open: () => true,
      [Symbol.dispose]: () => void wiped.push(name),
    });
    const cache = new CipherCache(1);
    const [a, a2, b] = [
      cache.take("a", ["z"], make("a")),
      cache.take("a", ["z"], make("again")),
      cache.take("b", ["y"], make("b")),
    ];
    a[Symbol.dispose]();
    a[Symbol.dispose]();
    b[Symbol.dispose]();
    assert.deepEqual(wiped, []);
    a2[Symbol.dispose]();
    assert.deepEqual(wiped, ["b"]);
    assert.throws(() => a2.open(place, Buffer.alloc(28), Buffer.alloc(0)), /disposed of/);
    const c = cache.take("c", ["z"], make("c"));
    cache.revoke("z");
    assert.deepEqual(wiped, ["b", "a", "c"]);
    assert.throws(() => c.open(place, Buffer.alloc(28), Buffer.alloc(0)), { code: "ENOKEY" });
    c[Symbol.dispose]();
    assert.equal(cache.size, 0);
    cache.take("d", ["z"], make("d"));
    cache[Symbol.dispose]();
    assert.deepEqual(wiped, ["b", "a", "c", "d"]);
  });
});

describe("the report of keys", () => {
  it("shows zones by path with their generations, and no key", async (t) => {
    const { keys, table } = await volumeKeys(t);
    const { zoneId } = keys.zoneForNewFolder(shard);
    keys.zoneForNewFolder(["data", "open", "1"]);
    keys.rotate(zoneId);
    keys.rotate(zoneId);
    table.retireGeneration(zoneId, 1);
    const report = keysReport(table, (id) => new Map(id.equals(zoneId) ? [[2, 4096]] : []));
    assert.deepEqual(
      report.zones.map(({ path, protection }) => [path, protection]),
      [
        ["/", "table-sealed"],
        ["/data/db/1", "sealed"],
        ["/data/open/1", "plain"],
      ],
    );
    assert.deepEqual(
      report.zones[1]?.generations.map(({ generation, state, sealedBytes }) => [generation, state, sealedBytes]),
      [
        [1, "retired", 0],
        [2, "superseded", 4096],
        [3, "active", 0],
      ],
    );
    assert.deepEqual([report.wrappedBy, report.canUnwrap, report.suite], ["table key", true, "intl"]);
    using key = table.unwrap(table.zoneOf(shard), 1);
    const text = JSON.stringify(keysReport(table));
    assert.ok(!text.includes(key.expose((bytes) => bytes.toString("hex"))));
    assert.ok(!text.includes("envelope") && !text.includes("sealedBytes"));
  });

  it("names the SM2 key, and whether its private side is here", async (t) => {
    const master = new MasterKey();
    const table = await new TableSetting(t, { suite: suites.sm }).create({}, { wrapper: master.withoutPrivateKey() });
    const report = keysReport(table);
    assert.deepEqual([report.wrappedBy, report.canUnwrap], ["SM2 key", false]);
    assert.equal(report.publicKey, master.publicKey.toString("hex"));
  });
});
