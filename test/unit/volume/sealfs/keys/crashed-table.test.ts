import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { suites } from "../../../../../src/crypto/suite.ts";
import type { KeyTable } from "../../../../../src/volume/sealfs/keys/key-table.ts";
import { type Crash, RecordedSystem } from "./recorded-system.ts";
import { contentOf, MasterKey, TableSetting, tableKey } from "./table-setting.ts";

const crashes: readonly Crash[] = ["killed", "powerLost", "namesOnly"];

interface Point {
  /** How many calls had been made. */
  readonly calls: number;
  readonly content: string;
}

function pointOf(system: RecordedSystem, table: KeyTable): Point {
  return { calls: system.calls.length, content: JSON.stringify(contentOf(table)) };
}

/** The table that a crash after so many calls leaves holds a state that was, and none older than the last that was finished. */
async function checkCrashes(
  setting: TableSetting,
  system: RecordedSystem,
  points: readonly Point[],
  keys: readonly number[] = [7],
): Promise<void> {
  for (let calls = points[0]?.calls ?? 0; calls <= system.calls.length; calls++)
    for (const crash of crashes) {
      const finished = points.filter((point) => point.calls <= calls).length;
      const allowed = points.slice(finished - 1, finished + 1).map(({ content }) => content);
      const left = system.afterCrash(calls, crash);
      const what = `${crash} after call ${calls}`;
      const { table, key } = await openWithOneOf(setting, left, keys);
      assert.ok(allowed.includes(JSON.stringify(contentOf(table))), what);
      // What was left half done is gone, and the table can be changed again.
      assert.ok(!left.files().has("keys.new"), what);
      table.makeZone(["after"], "sealed");
      const changed = JSON.stringify(contentOf(table));
      table.close();
      const again = await setting.open({ closedCleanly: true }, { system: left, tableKey: tableKey(key) });
      assert.equal(JSON.stringify(contentOf(again)), changed, what);
      again.close();
    }
}

async function openWithOneOf(
  setting: TableSetting,
  system: RecordedSystem,
  keys: readonly number[],
): Promise<{ readonly table: KeyTable; readonly key: number }> {
  for (const key of keys)
    try {
      return { table: await setting.open({}, { system, tableKey: tableKey(key) }), key };
    } catch (error) {
      assert.equal((error as { code?: string }).code, "KEY_TABLE_WRONG_KEY");
    }
  return assert.fail("the table opens under none of the keys");
}

describe("a crash", () => {
  it("at any step of any change leaves the state before it or after it", async (t) => {
    const system = new RecordedSystem();
    const setting = new TableSetting(t, { system });
    const table = await setting.create();
    const points = [pointOf(system, table)];
    const change = (make: () => void) => {
      make();
      points.push(pointOf(system, table));
    };
    change(() => void table.makeZone(["a"], "sealed"));
    const { zoneId } = table.zoneOf(["a"]);
    change(() => void table.addGeneration(zoneId));
    change(() => table.retireGeneration(zoneId, 1));
    change(() => table.compact());
    change(() => void table.makeZone(["b"], "plain"));
    table.close();
    await checkCrashes(setting, system, points);
  });

  it("while a table is being made leaves none, or the whole", async (t) => {
    const system = new RecordedSystem();
    const setting = new TableSetting(t, { system });
    (await setting.create()).close();
    for (let calls = 0; calls <= system.calls.length; calls++)
      for (const crash of crashes) {
        const left = system.afterCrash(calls, crash);
        if (left.files().has("keys")) (await setting.open({ closedCleanly: true }, { system: left })).close();
        else (await setting.create({}, { system: left })).close();
      }
  });

  it("while a zone's keys are destroyed leaves them, or nothing of them after the next compaction", async (t) => {
    const system = new RecordedSystem();
    const setting = new TableSetting(t, { system });
    const table = await setting.create();
    const { zoneId } = table.makeZone(["a"], "sealed").zone;
    const before = system.calls.length;
    table.destroyZone(zoneId);
    table.close();
    for (let calls = before; calls <= system.calls.length; calls++)
      for (const crash of crashes) {
        const again = await setting.open({}, { system: system.afterCrash(calls, crash) });
        const zone = again.zone(zoneId) ?? assert.fail();
        assert.equal(zone.generations.length, zone.destroyed ? 0 : 1);
        again.close();
      }
  });

  it("in an append that was cut at any byte drops just that append, and says how much", async (t) => {
    const system = new RecordedSystem();
    const setting = new TableSetting(t, { system });
    const table = await setting.create();
    table.makeZone(["a"], "sealed");
    const before = contentOf(table);
    const whole = system.files().get("keys") ?? assert.fail();
    table.makeZone(["b"], "sealed");
    const longer = system.files().get("keys") ?? assert.fail();
    table.close();
    for (let size = whole.length; size < longer.length; size++) {
      const left = RecordedSystem.holding(new Map([["keys", longer.subarray(0, size)]]));
      const again = await setting.open({}, { system: left });
      assert.deepEqual(contentOf(again), before);
      assert.equal(again.tornBytes, size - whole.length);
      again.makeZone(["c"], "sealed");
      again.close();
      (await setting.open({ closedCleanly: true }, { system: left })).close();
    }
  });

  it("at any step of a re-keying leaves the old table or the new one, each under its own key", async (t) => {
    const system = new RecordedSystem();
    const setting = new TableSetting(t, { system });
    const table = await setting.create();
    for (const name of ["a", "b", "c", "d"]) table.makeZone([name], "sealed");
    const points = [pointOf(system, table)];
    const rekey = table.beginRekey(tableKey(9));
    while (rekey.progress.done < rekey.progress.total) rekey.step(2);
    rekey.finish();
    points.push(pointOf(system, table));
    table.close();
    await checkCrashes(setting, system, points, [7, 9]);
  });
});

describe("a full disk", () => {
  it("is written in the room that was set aside, and that room is set aside again when there is some", async (t) => {
    const system = new RecordedSystem();
    const setting = new TableSetting(t, { system });
    const table = await setting.create();
    assert.equal(system.files().get("keys.spare")?.length, 65_536);
    system.failing = (call) => (call === "write" && system.files().has("keys.spare") ? "ENOSPC" : undefined);
    table.makeZone(["a"], "sealed");
    assert.notEqual(table.zoneMadeFor(["a"]), undefined);
    system.failing = () => undefined;
    table.compact();
    assert.equal(system.files().get("keys.spare")?.length, 65_536);
    const content = contentOf(table);
    table.close();
    assert.deepEqual(contentOf(await setting.open()), content);
  });

  it("that has no room to write the table anew is done so later, so that no record can be cut off unnoticed", async (t) => {
    const system = new RecordedSystem();
    const setting = new TableSetting(t, { system });
    const table = await setting.create();
    // The append has room, what would replace the file has none.
    let writes = 0;
    system.failing = (call) => (call === "write" && ++writes > 1 ? "ENOSPC" : undefined);
    table.setRules([{ pattern: "x", becomes: "plain" }]);
    assert.equal(table.mustBeWritten, true);
    assert.throws(() => table.settle(), { code: "KEY_TABLE_SYSTEM" });
    assert.equal(table.mustBeWritten, true);
    system.failing = () => undefined;
    table.settle();
    assert.equal(table.mustBeWritten, false);
    table.close();
    const whole = system.files().get("keys") ?? assert.fail();
    const cut = RecordedSystem.holding(new Map([["keys", whole.subarray(0, whole.length - 1)]]));
    await assert.rejects(setting.open({}, { system: cut }), { code: "KEY_TABLE_DAMAGED" });
  });

  it("that has no room at all leaves the table as it was, and no half of another", async (t) => {
    const system = new RecordedSystem();
    const table = await new TableSetting(t, { system }).create();
    const before = contentOf(table);
    system.failing = (call) => (call === "write" ? "ENOSPC" : undefined);
    assert.throws(() => table.compact(), { code: "KEY_TABLE_SYSTEM" });
    assert.throws(() => table.makeZone(["a"], "sealed"), { code: "KEY_TABLE_SYSTEM" });
    assert.deepEqual([...system.files().keys()].sort(), ["keys"]);
    assert.deepEqual(contentOf(table), before);
  });
});

describe("a failing disk", () => {
  for (const code of ["ENOSPC", "EIO", "EROFS"])
    it(`that answers ${code} to a write leaves the table as it was, and usable`, async (t) => {
      const system = new RecordedSystem();
      const setting = new TableSetting(t, { system });
      const table = await setting.create();
      const { zoneId } = table.makeZone(["a"], "sealed").zone;
      const before = contentOf(table);
      const { head } = table;
      system.failing = (call) => (call === "write" ? code : undefined);
      for (const change of [
        () => table.makeZone(["b"], "sealed"),
        () => table.makeZone(["c"], "plain"),
        () => table.addGeneration(zoneId),
        () => table.destroyZone(zoneId),
        () => table.removeZone(zoneId),
        () => table.setRules([{ pattern: "x", becomes: "plain" }]),
        () => table.compact(),
        () => table.beginRekey(tableKey(9)).finish(),
      ])
        assert.throws(change, { code: "KEY_TABLE_SYSTEM", exitCode: 1 });
      assert.deepEqual(contentOf(table), before);
      assert.deepEqual(table.head, head);
      assert.equal(table.zoneMadeFor(["b"]), undefined);
      system.failing = () => undefined;
      table.makeZone(["b"], "sealed");
      const after = contentOf(table);
      table.close();
      assert.deepEqual(contentOf(await setting.open({ closedCleanly: true })), after);
    });

  it("whose sync fails is written to no more: what it holds is unknown", async (t) => {
    const system = new RecordedSystem();
    const setting = new TableSetting(t, { system });
    const table = await setting.create();
    const before = contentOf(table);
    system.failing = (call) => (call === "sync" ? "EIO" : undefined);
    assert.throws(() => table.makeZone(["a"], "sealed"), { code: "KEY_TABLE_SYSTEM" });
    system.failing = () => undefined;
    assert.throws(() => table.makeZone(["a"], "sealed"), { code: "KEY_TABLE_BROKEN" });
    assert.throws(() => table.compact(), { code: "KEY_TABLE_BROKEN" });
    assert.deepEqual(contentOf(table), before);
    table.close();
    (await setting.open()).close();
  });

  for (const call of ["open", "sync", "rename", "read"])
    it(`whose ${call} fails while the table is replaced keeps the old one in use`, async (t) => {
      const system = new RecordedSystem();
      const setting = new TableSetting(t, { system });
      const table = await setting.create();
      table.makeZone(["a"], "sealed");
      const before = contentOf(table);
      system.failing = (asked) => (asked === call ? "EIO" : undefined);
      assert.throws(() => table.compact(), { code: "KEY_TABLE_SYSTEM" });
      system.failing = () => undefined;
      assert.deepEqual(contentOf(table), before);
      table.makeZone(["b"], "sealed");
      table.compact();
      table.close();
      assert.equal(Array.from((await setting.open({ closedCleanly: true })).zones()).length, 3);
      assert.equal(system.openDescriptors, 1);
    });

  it("whose folder cannot be synced after the replacement is written to no more", async (t) => {
    const system = new RecordedSystem();
    const setting = new TableSetting(t, { system });
    const table = await setting.create();
    system.failing = (call) => (call === "syncFolder" ? "EIO" : undefined);
    assert.throws(() => table.compact(), { code: "KEY_TABLE_BROKEN" });
    system.failing = () => undefined;
    assert.throws(() => table.makeZone(["a"], "sealed"), { code: "KEY_TABLE_BROKEN" });
    table.close();
    (await setting.open()).close();
  });
});

describe("a re-keying", () => {
  it("moves every key under the new table key, and the old one opens nothing", async (t) => {
    const setting = new TableSetting(t);
    const table = await setting.create({ rules: [{ pattern: "x", becomes: "plain" }] });
    const { zoneId } = table.makeZone(["a"], "sealed").zone;
    table.addGeneration(zoneId);
    table.makeZone(["b"], "table-sealed");
    table.makeZone(["c"], "plain");
    const gone = table.makeZone(["d"], "sealed").zone;
    table.destroyZone(gone.zoneId);
    const before = contentOf(table);
    const { sequence } = table.head;
    const rekey = table.beginRekey(tableKey(9));
    assert.deepEqual(rekey.progress, { done: 0, total: 4 });
    assert.deepEqual(rekey.step(3), { done: 3, total: 4 });
    rekey.finish();
    assert.deepEqual(contentOf(table), before);
    assert.ok(table.head.sequence > sequence);
    table.makeZone(["e"], "sealed");
    const after = contentOf(table);
    table.close();
    await assert.rejects(setting.open(), { code: "KEY_TABLE_WRONG_KEY" });
    assert.deepEqual(contentOf(await setting.open({ closedCleanly: true }, { tableKey: tableKey(9) })), after);
  });

  it("changes nothing until it is finished, and takes in what was changed meanwhile", async (t) => {
    const setting = new TableSetting(t);
    const table = await setting.create();
    const [a, b] = [table.makeZone(["a"], "sealed").zone, table.makeZone(["b"], "sealed").zone];
    const rekey = table.beginRekey(tableKey(9));
    rekey.step(100);
    table.addGeneration(a.zoneId);
    table.retireGeneration(a.zoneId, 1);
    table.destroyZone(b.zoneId);
    table.makeZone(["c"], "sealed");
    const before = contentOf(table);
    rekey.finish();
    assert.deepEqual(contentOf(table), before);
  });

  it("that was killed goes on where it was, but not for other keys", async (t) => {
    const [old, next, other] = [new MasterKey(), new MasterKey(), new MasterKey()];
    const system = new RecordedSystem();
    const setting = new TableSetting(t, { suite: suites.sm, system, wrapper: () => old.wrapper() });
    const table = await setting.create();
    for (const name of ["a", "b", "c"]) table.makeZone([name], "sealed");
    table.beginRekey(tableKey(9), next.wrapper()).step(2);
    const before = contentOf(table);
    for (const [key, wrapper, done] of [
      [9, next.wrapper(), 2],
      [9, other.wrapper(), 0],
      [8, next.wrapper(), 0],
    ] as const) {
      const left = system.afterCrash(system.calls.length, "powerLost");
      const again = await setting.open({}, { system: left, folder: new TableSetting(t).folder });
      const rekey = again.beginRekey(tableKey(key), wrapper);
      assert.equal(rekey.progress.done, done);
      rekey.finish();
      assert.deepEqual(contentOf(again), before);
      assert.ok(!left.files().has("keys.rewrap"));
      again.close();
      const reopened = await setting.open(
        {},
        { system: left, folder: new TableSetting(t).folder, tableKey: tableKey(key), wrapper },
      );
      assert.deepEqual(contentOf(reopened), before);
    }
  });

  it("does not take over an envelope that another one replaced since", async (t) => {
    const system = new RecordedSystem();
    const setting = new TableSetting(t, { system });
    const table = await setting.create();
    table.makeZone(["a"], "sealed");
    table.beginRekey(tableKey(9)).step(1);
    const stale = system.files().get("keys.rewrap") ?? assert.fail();
    table.beginRekey(tableKey(8)).finish();
    table.close();
    const files = new Map([...system.files(), ["keys.rewrap", stale] as const]);
    const again = await setting.open({}, { system: RecordedSystem.holding(files), tableKey: tableKey(8) });
    assert.equal(again.beginRekey(tableKey(9)).progress.done, 0);
  });

  it("is refused without the private key, for steps of no size, and drops a broken progress file", async (t) => {
    const master = new MasterKey();
    const system = new RecordedSystem();
    const setting = new TableSetting(t, { suite: suites.sm, system });
    const table = await setting.create({}, { wrapper: master.wrapper() });
    table.makeZone(["a"], "sealed");
    table.close();
    const without = await setting.open();
    assert.throws(() => without.beginRekey(tableKey(9)).finish(), { code: "PRIVATE_KEY_ABSENT" });
    without.close();
    const files = new Map([...system.files(), ["keys.rewrap", Buffer.alloc(300, 1)] as const]);
    const again = await setting.open({}, { system: RecordedSystem.holding(files), wrapper: master.wrapper() });
    const rekey = again.beginRekey(tableKey(9));
    for (const bad of [0, -1, 1.5, 2049, Number.NaN]) assert.throws(() => rekey.step(bad), RangeError);
    rekey.finish();
    assert.equal(again.wrapper.identity.kind, "table-key");
  });

  it("to a public key alone can be done; its keys open where the private one is", async (t) => {
    const master = new MasterKey();
    const setting = new TableSetting(t, { suite: suites.sm });
    const table = await setting.create();
    table.makeZone(["a"], "sealed");
    const before = contentOf(table);
    table.beginRekey(tableKey(9), master.withoutPrivateKey()).finish();
    assert.throws(() => table.unwrap(table.zoneOf(["a"]), 1), { code: "PRIVATE_KEY_ABSENT" });
    table.close();
    const opened = await setting.open({}, { tableKey: tableKey(9), wrapper: master.wrapper() });
    assert.deepEqual(contentOf(opened), before);
  });

  it("takes envelopes that were made elsewhere, and keeps the old table until told otherwise", async (t) => {
    const [old, next] = [new MasterKey(), new MasterKey()];
    const setting = new TableSetting(t, { suite: suites.sm });
    const made = await setting.create({}, { wrapper: old.wrapper() });
    for (const name of ["a", "b", "c"]) made.makeZone([name], "sealed");
    const before = contentOf(made);
    made.close();
    // The private key is nowhere near the table: it opens envelopes in a card, say.
    const table = await setting.open();
    const rekey = table.beginRekey(tableKey(9), next.withoutPrivateKey());
    assert.throws(() => rekey.finish(), { code: "PRIVATE_KEY_ABSENT" });
    for (let waiting = rekey.waiting(2); waiting.length > 0; waiting = rekey.waiting(2))
      rekey.stage(
        waiting.map((one) => {
          using key = old.wrapper().unwrap(one.envelope);
          return { ...one, envelope: next.wrapper().wrap(key) };
        }),
      );
    assert.equal(rekey.staged().filter(({ envelope }) => envelope.length > 100).length, 3);
    const stranger = { zoneId: Buffer.alloc(16), generation: 1, envelope: Buffer.alloc(122) };
    assert.throws(() => rekey.stage([stranger]), { code: "GENERATION_ABSENT" });
    assert.throws(() => rekey.stage(Array(2049).fill(stranger)), RangeError);
    rekey.finish({ keepPrevious: true });
    const previous = await setting.open({ previous: true }, { wrapper: old.wrapper() });
    assert.deepEqual(contentOf(previous), before);
    assert.throws(() => previous.compact(), { code: "KEY_TABLE_READ_ONLY" });
    table.dropPrevious();
    table.dropPrevious();
    await assert.rejects(setting.open({ previous: true }, { wrapper: old.wrapper() }), { code: "KEY_TABLE_ABSENT" });
    table.close();
    const now = await setting.open({}, { tableKey: tableKey(9), wrapper: next.wrapper() });
    assert.deepEqual(contentOf(now), before);
  });
});
