import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { suites } from "../../../../../src/crypto/suite.ts";
import type { KeyTable } from "../../../../../src/volume/sealfs/keys/key-table.ts";
import { quickKeyContext, zoneKeyContext } from "../../../../../src/volume/sealfs/keys/key-wrapper.ts";
import { Sm2Wrapper } from "../../../../../src/volume/sealfs/keys/sm2-wrapper.ts";
import { TableKeyWrapper } from "../../../../../src/volume/sealfs/keys/table-key-wrapper.ts";
import { contentOf, MasterKey, TableSetting, tableKey, volumeId } from "./table-setting.ts";

/** A master key whose openings are counted. */
class CountedMaster extends MasterKey {
  openings = 0;

  override wrapper(): Sm2Wrapper {
    const own = super.wrapper();
    return new Sm2Wrapper(this.publicKey, (envelope) => {
      this.openings += 1;
      return own.unwrap(envelope);
    });
  }
}

function makeShards(table: KeyTable, count: number): void {
  for (let i = 0; i < count; i++) table.makeZone(["data", `${i}`], "sealed").key?.[Symbol.dispose]();
}

function unwrapAll(table: KeyTable): void {
  for (const zone of table.zones())
    for (const { generation } of zone.generations) table.unwrap(zone, generation)[Symbol.dispose]();
}

describe("the quick key of a table", () => {
  it("lets the master key open one envelope for all sealed zones", async (t) => {
    const master = new CountedMaster();
    const setting = new TableSetting(t, { suite: suites.sm, wrapper: () => master.wrapper() });
    const made = await setting.create();
    makeShards(made, 20);
    const content = contentOf(made);
    made.close();
    master.openings = 0;
    const table = await setting.open();
    unwrapAll(table);
    assert.equal(master.openings, 1);
    assert.deepEqual(contentOf(table), content);
  });

  it("holds what the envelopes hold", async (t) => {
    const master = new MasterKey();
    const table = await new TableSetting(t, { suite: suites.sm }).create({}, { wrapper: master.wrapper() });
    makeShards(table, 3);
    for (const zone of table.zones()) {
      if (zone.protection !== "sealed") continue;
      using quickly = table.unwrap(zone, 1);
      using slowly = master.wrapper().unwrap(zone.generations[0]?.envelope ?? assert.fail());
      assert.ok(quickly.equals(slowly));
    }
  });

  it("is of no use to who has the table key and not the master key", async (t) => {
    const master = new MasterKey();
    const setting = new TableSetting(t, { suite: suites.sm });
    const table = await setting.create({}, { wrapper: master.wrapper() });
    makeShards(table, 1);
    const zone = table.zoneMadeFor(["data", "0"]) ?? assert.fail();
    const quick = zone.generations[0]?.quick ?? assert.fail();
    table.close();
    const without = await setting.open();
    assert.throws(() => without.unwrap(zone, 1), { code: "PRIVATE_KEY_ABSENT" });
    const byTableKey = new TableKeyWrapper(suites.sm, tableKey(), volumeId);
    assert.throws(() => byTableKey.unwrap(quick, zoneKeyContext(volumeId, zone.zoneId, 1)), {
      code: "ENVELOPE_REFUSED",
    });
    const namesOnly = quickKeyContext(volumeId);
    assert.throws(() => byTableKey.unwrap(quick, namesOnly), { code: "ENVELOPE_REFUSED" });
  });

  it("does not open with one zone's key in another's place", async (t) => {
    const table = await new TableSetting(t, { suite: suites.sm }).create({}, { wrapper: new MasterKey().wrapper() });
    makeShards(table, 2);
    const [one, other] = [
      ["data", "0"],
      ["data", "1"],
    ].map((path) => table.zoneMadeFor(path) ?? assert.fail());
    const foreign = { ...one, generations: other?.generations ?? [] } as NonNullable<typeof one>;
    assert.throws(() => table.unwrap(foreign, 1), { code: "ENVELOPE_REFUSED" });
  });

  it("goes with its zone: destroyed and removed keys are in the file under no key", async (t) => {
    const setting = new TableSetting(t, { suite: suites.sm });
    const table = await setting.create({}, { wrapper: new MasterKey().wrapper() });
    makeShards(table, 2);
    const quicks = [
      ["data", "0"],
      ["data", "1"],
    ].map((path) => table.zoneMadeFor(path)?.generations[0]?.quick);
    const inFile = () => quicks.map((quick) => readFileSync(join(setting.folder, "keys")).includes(quick ?? ""));
    table.compact();
    assert.equal(quicks.filter((quick) => quick === undefined).length, 0);
    table.destroyZone(table.zoneMadeFor(["data", "0"])?.zoneId ?? assert.fail());
    table.removeZone(table.zoneMadeFor(["data", "1"])?.zoneId ?? assert.fail());
    table.settle();
    // Records are sealed: what shows is that nothing of them is kept in what is written now.
    assert.deepEqual(inFile(), [false, false]);
    assert.equal(table.zoneMadeFor(["data", "0"])?.generations.length, 0);
  });

  it("is another one after a change of the master key, and holds the same keys", async (t) => {
    const [before, after] = [new MasterKey(), new CountedMaster()];
    const setting = new TableSetting(t, { suite: suites.sm });
    const table = await setting.create({}, { wrapper: before.wrapper() });
    makeShards(table, 5);
    const content = contentOf(table);
    const old = table.zoneMadeFor(["data", "0"])?.generations[0]?.quick ?? assert.fail();
    table.beginMasterRekey(after.wrapper()).finish();
    assert.deepEqual(contentOf(table), content);
    const anew = table.zoneMadeFor(["data", "0"])?.generations[0]?.quick ?? assert.fail();
    assert.notDeepEqual(anew, old);
    table.close();
    after.openings = 0;
    const again = await setting.open({}, { wrapper: after.wrapper() });
    unwrapAll(again);
    assert.equal(after.openings, 1);
    again.close();
    await assert.rejects(setting.open({}, { wrapper: before.wrapper() }), { code: "KEY_TABLE_WRONG_KEY" });
  });

  it("is left out of a change that is made without the private key, and comes back as zones are opened", async (t) => {
    const [before, after] = [new MasterKey(), new CountedMaster()];
    const setting = new TableSetting(t, { suite: suites.sm });
    const table = await setting.create({}, { wrapper: before.wrapper() });
    makeShards(table, 5);
    const content = contentOf(table);
    table.close();
    const without = await setting.open({}, { wrapper: before.withoutPrivateKey() });
    const rekey = without.beginMasterRekey(after.withoutPrivateKey());
    const made = rekey.waiting(10).map(({ envelope, ...key }) => {
      using opened = before.wrapper().unwrap(envelope);
      return { ...key, envelope: after.withoutPrivateKey().wrap(opened) };
    });
    rekey.stage(made);
    // The volume's own zone is under the table key.
    rekey.finish();
    assert.equal(without.zoneMadeFor(["data", "0"])?.generations[0]?.quick, undefined);
    without.close();
    const first = await setting.open({}, { wrapper: after.wrapper() });
    assert.deepEqual(contentOf(first), content);
    assert.ok(after.openings >= 5);
    first.compact();
    first.close();
    after.openings = 0;
    const second = await setting.open({}, { wrapper: after.wrapper() });
    unwrapAll(second);
    assert.equal(after.openings, 1);
  });

  it("is not written by who only reads", async (t) => {
    const [before, after] = [new MasterKey(), new MasterKey()];
    const setting = new TableSetting(t, { suite: suites.sm });
    const table = await setting.create({}, { wrapper: before.wrapper() });
    makeShards(table, 1);
    table.close();
    const reading = await setting.open({ readOnly: true }, { wrapper: before.wrapper() });
    const bytes = readFileSync(join(setting.folder, "keys"));
    unwrapAll(reading);
    assert.ok(readFileSync(join(setting.folder, "keys")).equals(bytes));
    reading.close();
    await assert.rejects(setting.open({ readOnly: true }, { wrapper: after.wrapper() }), {
      code: "KEY_TABLE_WRONG_KEY",
    });
  });
});
