import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmodSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { generateKeyPair } from "../../../../../src/crypto/curve.ts";
import { SecretBuffer } from "../../../../../src/crypto/secret-buffer.ts";
import { suites } from "../../../../../src/crypto/suite.ts";
import type { KeyWrapper } from "../../../../../src/volume/sealfs/keys/key-wrapper.ts";
import { Sm2Wrapper, softSm2Opener } from "../../../../../src/volume/sealfs/keys/sm2-wrapper.ts";
import { TableKeyWrapper } from "../../../../../src/volume/sealfs/keys/table-key-wrapper.ts";
import { RecordedSystem } from "./recorded-system.ts";
import { contentOf, hexOf, MasterKey, nowMs, TableSetting, tableKey, volumeId } from "./table-setting.ts";

const shard = ["data", "db", "autogen", "1"];

for (const suite of [suites.intl, suites.sm])
  describe(`a key table of the suite ${suite.name}`, () => {
    it("has a zone for the volume itself, and finds everything again", async (t) => {
      const setting = new TableSetting(t, { suite });
      const table = await setting.create({ rules: [{ pattern: "data/*/*/*", becomes: "sealed" }] });
      const made = table.makeZone(shard, "sealed");
      assert.equal(made.key?.byteLength, suite.keyBytes);
      table.makeZone(["tmp"], "plain");
      const before = contentOf(table);
      assert.deepEqual(table.zoneOf([...shard, "000001.tsm"]).zoneId, made.zone.zoneId);
      assert.deepEqual(table.zoneOf(["data"]).path, []);
      table.close();
      const again = await setting.open({ closedCleanly: true });
      assert.deepEqual(contentOf(again), before);
      using key = again.unwrap(again.zoneOf(shard), 1);
      assert.ok(made.key !== undefined && key.equals(made.key));
    });

    it("keeps every kind of change", async (t) => {
      const setting = new TableSetting(t, { suite });
      let table = await setting.create();
      const steps: ((id: Buffer) => void)[] = [
        (id) => void table.addGeneration(id),
        (id) => void table.addGeneration(id),
        (id) => table.retireGeneration(id, 1),
        (id) => table.destroyGeneration(id, 1, 0),
        () => table.setRules([{ pattern: "wal/*", becomes: "plain" }]),
        () => void table.makeZone(["a", "b"], "table-sealed"),
        (id) => table.destroyZone(id),
        (id) => table.removeZone(id),
      ];
      const { zone } = table.makeZone(shard, "sealed");
      for (const step of steps) {
        const { sequence } = table.head;
        step(zone.zoneId);
        assert.ok(table.head.sequence > sequence);
        const before = contentOf(table);
        const { head } = table;
        table.close();
        table = await setting.open();
        assert.deepEqual(contentOf(table), before);
        assert.deepEqual(table.head, head);
      }
      assert.equal(table.zone(zone.zoneId), undefined);
    });
  });

describe("opening a key table", () => {
  it("unwraps no key", async (t) => {
    const master = new MasterKey();
    const setting = new TableSetting(t, { suite: suites.sm, wrapper: () => master.wrapper() });
    const table = await setting.create();
    for (let i = 0; i < 10; i++) table.makeZone(["data", String(i)], "sealed");
    table.close();
    const never: KeyWrapper = {
      identity: { kind: "sm2", publicKey: master.publicKey },
      canUnwrap: true,
      wrap: () => assert.fail("wrapped"),
      unwrap: () => assert.fail("unwrapped"),
      [Symbol.dispose]() {},
    };
    assert.equal(Array.from((await setting.open({}, { wrapper: never })).zones()).length, 11);
  });

  it("is refused with another table key, and touches no file", async (t) => {
    const setting = new TableSetting(t);
    (await setting.create()).close();
    const before = readFileSync(join(setting.folder, "keys"));
    for (const key of [tableKey(8), SecretBuffer.take(Buffer.alloc(31, 7)), SecretBuffer.take(Buffer.alloc(33, 7))])
      await assert.rejects(setting.open({}, { tableKey: key }), { code: "KEY_TABLE_WRONG_KEY", exitCode: 5 });
    assert.deepEqual(readFileSync(join(setting.folder, "keys")), before);
    (await setting.open()).close();
  });

  it("is refused for a key that is too short or too long", async (t) => {
    const setting = new TableSetting(t);
    for (const bytes of [0, 15, 65])
      await assert.rejects(setting.create({}, { tableKey: SecretBuffer.random(bytes) }), RangeError);
  });

  it("is refused for another volume or suite under the same key", async (t) => {
    const setting = new TableSetting(t);
    (await setting.create()).close();
    await assert.rejects(setting.open({}, { volumeId: randomBytes(16) }), { code: "KEY_TABLE_DAMAGED" });
    await assert.rejects(setting.open({}, { suite: suites.sm }), { code: "KEY_TABLE_DAMAGED" });
    await assert.rejects(setting.open({}, { volumeId: randomBytes(15) }), RangeError);
  });

  it("is refused with another master key, of either kind", async (t) => {
    const master = new MasterKey();
    const setting = new TableSetting(t, { suite: suites.sm, wrapper: () => master.wrapper() });
    (await setting.create()).close();
    await assert.rejects(setting.open({}, { wrapper: new MasterKey().wrapper() }), { code: "KEY_TABLE_WRONG_KEY" });
    const byTableKey = new TableKeyWrapper(suites.sm, tableKey(), volumeId);
    await assert.rejects(setting.open({}, { wrapper: byTableKey }), { code: "KEY_TABLE_WRONG_KEY" });
    (await setting.open()).close();
  });

  it("is refused where there is no table, and makes nothing there", async (t) => {
    const setting = new TableSetting(t);
    await assert.rejects(setting.open(), { code: "KEY_TABLE_ABSENT" });
    assert.throws(() => readFileSync(join(setting.folder, "keys.lock")), { code: "ENOENT" });
  });

  it("is refused through a symbolic link, and for what is no table", async (t) => {
    const [real, linked] = [new TableSetting(t), new TableSetting(t)];
    (await real.create()).close();
    symlinkSync(join(real.folder, "keys"), join(linked.folder, "keys"));
    await assert.rejects(linked.open(), { code: "KEY_TABLE_SYSTEM" });
    for (const content of ["", "SRKT", "x".repeat(500)]) {
      const setting = new TableSetting(t);
      writeFileSync(join(setting.folder, "keys"), content);
      await assert.rejects(setting.open(), { code: "KEY_TABLE_DAMAGED", exitCode: 5 });
    }
  });

  it("is refused below an anchored sequence", async (t) => {
    const setting = new TableSetting(t);
    const table = await setting.create();
    const old = readFileSync(join(setting.folder, "keys"));
    table.makeZone(shard, "sealed");
    const { sequence } = table.head;
    table.close();
    (await setting.open({ leastSequence: sequence })).close();
    await assert.rejects(setting.open({ leastSequence: sequence + 1 }), { code: "KEY_TABLE_ROLLED_BACK" });
    writeFileSync(join(setting.folder, "keys"), old);
    await assert.rejects(setting.open({ leastSequence: sequence }), { code: "KEY_TABLE_ROLLED_BACK", exitCode: 5 });
    (await setting.open()).close();
  });

  it("lets one process write, and others read", async (t) => {
    const setting = new TableSetting(t);
    const table = await setting.create();
    await assert.rejects(setting.open(), { code: "VOLUME_ALREADY_OPEN" });
    await assert.rejects(setting.create(), { code: "VOLUME_ALREADY_OPEN" });
    const { zone } = table.makeZone(shard, "sealed");
    const reader = await setting.open({ readOnly: true });
    assert.deepEqual(reader.zoneOf(shard).zoneId, zone.zoneId);
    assert.throws(() => reader.makeZone(["x"], "plain"), { code: "KEY_TABLE_READ_ONLY" });
    assert.throws(() => reader.compact(), { code: "KEY_TABLE_READ_ONLY" });
    assert.throws(() => reader.beginRekey(tableKey(9)), { code: "KEY_TABLE_READ_ONLY" });
    assert.equal(reader.zoneMadeFor(["x"]), undefined);
    table.close();
    table.close();
    (await setting.open()).close();
  });

  it("is not made over another", async (t) => {
    const setting = new TableSetting(t);
    (await setting.create()).close();
    await assert.rejects(setting.create(), { code: "KEY_TABLE_EXISTS" });
    await assert.rejects(new TableSetting(t).create({ rules: [{ pattern: "a/", becomes: "sealed" }] }), {
      code: "RULE_INVALID",
    });
  });

  it("finds a short file, however often the table was changed", async (t) => {
    const system = new RecordedSystem();
    const setting = new TableSetting(t, { system });
    const table = await setting.create();
    const sizeNow = () => (system.files().get("keys") ?? assert.fail()).length;
    const sizeAtFirst = sizeNow();
    for (let i = 0; i < 2100; i++) {
      table.removeZone(table.makeZone([`a${i}`], "plain").zone.zoneId);
      system.calls.length = 0;
    }
    // 4,096 records out of date are the most; so there was one compaction, and some records since.
    assert.ok(sizeNow() < 15_000 + sizeAtFirst, `${sizeNow()} bytes`);
    table.close();
    const again = await setting.open({ closedCleanly: true });
    assert.equal(Array.from(again.zones()).length, 1);
    assert.ok(again.head.sequence > 4204);
  });

  it("keeps its file from other users", async (t) => {
    const setting = new TableSetting(t);
    chmodSync(setting.folder, 0o755);
    const table = await setting.create();
    table.compact();
    assert.equal(statSync(join(setting.folder, "keys")).mode & 0o777, 0o600);
  });
});

describe("the keys of a zone", () => {
  it("are refused where they are not there", async (t) => {
    const table = await new TableSetting(t).create();
    const { zone } = table.makeZone(shard, "sealed");
    const { zone: plain } = table.makeZone(["tmp"], "plain");
    const nobody = randomBytes(16);
    assert.throws(() => table.makeZone(shard, "sealed"), { code: "ZONE_EXISTS" });
    assert.throws(() => table.unwrap(zone, 2), { code: "GENERATION_ABSENT" });
    assert.throws(() => table.addGeneration(nobody), { code: "ZONE_ABSENT" });
    assert.throws(() => table.destroyZone(nobody), { code: "ZONE_ABSENT" });
    assert.throws(() => table.removeZone(nobody), { code: "ZONE_ABSENT" });
    assert.throws(() => table.removeZone(table.zoneOf([]).zoneId), { code: "ZONE_ABSENT" });
    assert.throws(() => table.addGeneration(plain.zoneId), { code: "ZONE_NOT_SEALED" });
    assert.throws(() => table.destroyZone(plain.zoneId), { code: "ZONE_NOT_SEALED" });
    assert.throws(() => table.retireGeneration(zone.zoneId, 7), { code: "GENERATION_ABSENT" });
    assert.throws(() => table.setRules([{ pattern: "", becomes: "plain" }]), { code: "RULE_INVALID" });
    assert.equal(table.head.sequence, 6);
  });

  it("are destroyed only when retired and not in use", async (t) => {
    const setting = new TableSetting(t);
    const table = await setting.create();
    const { zoneId } = table.makeZone(shard, "sealed").zone;
    const inUse = { code: "GENERATION_IN_USE" };
    assert.throws(() => table.retireGeneration(zoneId, 1), inUse);
    assert.throws(() => table.destroyGeneration(zoneId, 1, 0), inUse);
    const { generation, key } = table.addGeneration(zoneId);
    assert.equal(generation, 2);
    assert.throws(() => table.destroyGeneration(zoneId, 1, 0), inUse);
    table.retireGeneration(zoneId, 1);
    table.retireGeneration(zoneId, 1);
    assert.throws(() => table.destroyGeneration(zoneId, 1, 4096), inUse);
    assert.throws(() => table.destroyGeneration(zoneId, 1, Number.NaN), inUse);
    const envelope = table.zoneOf(shard).generations[0]?.envelope ?? assert.fail();
    table.destroyGeneration(zoneId, 1, 0);
    assert.throws(() => table.destroyGeneration(zoneId, 1, 0), { code: "GENERATION_ABSENT" });
    assert.throws(() => table.unwrap(table.zoneOf(shard), 1), { code: "GENERATION_ABSENT" });
    assert.ok(!readFileSync(join(setting.folder, "keys")).includes(envelope));
    using again = table.unwrap(table.zoneOf(shard), 2);
    assert.ok(again.equals(key));
    assert.equal(table.addGeneration(zoneId).generation, 3);
  });

  it("are at most 32 that were not destroyed", async (t) => {
    const table = await new TableSetting(t).create();
    const { zoneId } = table.makeZone(shard, "sealed").zone;
    for (let i = 2; i <= 32; i++) table.addGeneration(zoneId);
    assert.throws(() => table.addGeneration(zoneId), { code: "KEY_TABLE_LIMIT" });
    table.retireGeneration(zoneId, 5);
    table.destroyGeneration(zoneId, 5, 0);
    assert.equal(table.addGeneration(zoneId).generation, 33);
  });

  it("are gone with the zone, whose folder stays its zone's until it is removed or made again", async (t) => {
    const table = await new TableSetting(t).create();
    const { zone } = table.makeZone(shard, "sealed");
    table.destroyZone(zone.zoneId);
    table.destroyZone(zone.zoneId);
    assert.throws(() => table.destroyZone(Buffer.alloc(16, 9)), { code: "ZONE_ABSENT" });
    const destroyed = table.zoneOf(shard);
    assert.deepEqual([destroyed.zoneId, destroyed.destroyed], [zone.zoneId, true]);
    assert.throws(() => table.unwrap(destroyed, 1), { code: "GENERATION_ABSENT" });
    assert.throws(() => table.addGeneration(zone.zoneId), { code: "ZONE_ABSENT" });
    const { zone: next } = table.makeZone(shard, "sealed");
    assert.notDeepEqual(next.zoneId, zone.zoneId);
    assert.equal(table.zone(zone.zoneId), undefined);
  });

  it("under an absent private key can neither be unwrapped nor made; those of the table key can", async (t) => {
    const master = new MasterKey();
    const setting = new TableSetting(t, { suite: suites.sm });
    const table = await setting.create({}, { wrapper: master.wrapper() });
    const { zone, key } = table.makeZone(shard, "sealed");
    table.close();
    const without = await setting.open();
    assert.equal(without.wrapper.canUnwrap, false);
    const absent = { code: "PRIVATE_KEY_ABSENT", exitCode: 3 };
    assert.throws(() => without.unwrap(zone, 1), absent);
    assert.throws(() => without.makeZone(["x"], "sealed"), absent);
    assert.throws(() => without.addGeneration(zone.zoneId), absent);
    without.unwrap(without.zoneOf([]), 1)[Symbol.dispose]();
    without.makeZone(["wal"], "table-sealed");
    without.makeZone(["tmp"], "plain");
    without.close();
    const withKey = await setting.open({}, { wrapper: master.wrapper() });
    using again = withKey.unwrap(zone, 1);
    assert.ok(key !== undefined && again.equals(key));
  });

  it("do not open when the private key is another than the public key's", async (t) => {
    const [master, other] = [new MasterKey(), new MasterKey()];
    const wrong = new Sm2Wrapper(
      master.publicKey,
      softSm2Opener(master.publicKey, () => generateKeyPair("sm2").scalar),
    );
    const setting = new TableSetting(t, { suite: suites.sm });
    const table = await setting.create({}, { wrapper: wrong });
    assert.throws(() => table.makeZone(shard, "sealed"), { code: "KEY_TABLE_WRONG_KEY" });
    assert.equal(table.zoneMadeFor(shard), undefined);
    using key = SecretBuffer.random(16);
    assert.throws(() => master.wrapper().unwrap(other.wrapper().wrap(key)), { code: "ENVELOPE_REFUSED" });
    assert.throws(() => master.wrapper().unwrap(Buffer.from("30060201", "hex")), { code: "ENVELOPE_REFUSED" });
    assert.throws(() => new Sm2Wrapper(Buffer.alloc(65, 4)), { code: "KEY_FORMAT_INVALID" });
  });

  it("are wrapped for one zone and generation", () => {
    const wrapper = new TableKeyWrapper(suites.intl, tableKey(), volumeId);
    using key = SecretBuffer.random(32);
    const context = Buffer.from("zone 1");
    const envelope = wrapper.wrap(key, context);
    assert.equal(hexOf(wrapper.unwrap(envelope, context)), hexOf(key));
    assert.throws(() => wrapper.unwrap(envelope, Buffer.from("zone 2")), { code: "ENVELOPE_REFUSED" });
    for (let cut = 0; cut < envelope.length; cut++)
      assert.throws(() => wrapper.unwrap(envelope.subarray(0, cut), context), { code: "ENVELOPE_REFUSED" });
    const elsewhere = new TableKeyWrapper(suites.intl, tableKey(), randomBytes(16));
    assert.throws(() => elsewhere.unwrap(envelope, context), { code: "ENVELOPE_REFUSED" });
  });

  it("carry the time they were made at", async (t) => {
    const table = await new TableSetting(t).create();
    assert.equal(table.makeZone(shard, "sealed").zone.madeAtMs, nowMs);
  });
});
