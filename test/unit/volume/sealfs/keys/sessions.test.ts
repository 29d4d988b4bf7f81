import assert from "node:assert/strict";
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { BodyReader, BodyWriter } from "../../../../../src/volume/sealfs/keys/body.ts";
import { SessionLog } from "../../../../../src/volume/sealfs/keys/sessions.ts";
import { TableSetting, tableKey } from "./table-setting.ts";

const boot = Buffer.alloc(16, 3);
/** From one session's number to the next. */
const unit = 2 ** 16;
const damaged = { code: "KEY_TABLE_DAMAGED" };

describe("the sessions of a key table", () => {
  it("are numbered, and those that did not end well are known after opening, re-writing and re-keying", async (t) => {
    const setting = new TableSetting(t);
    const first = await setting.create();
    const ended = first.sessions.next();
    first.beginSession(ended, boot);
    first.endSession();
    first.close();
    const second = await setting.open();
    const killed = second.sessions.next();
    assert.ok(killed > ended);
    second.beginSession(killed, boot);
    second.close();
    const third = await setting.open();
    const present = third.sessions.next();
    third.beginSession(present, Buffer.alloc(16, 4));
    const unsettled = third.sessions.unsettled.map(({ from }) => from);
    assert.deepEqual(unsettled, [killed, present]);
    third.compact();
    third.beginRekey(tableKey(9)).finish();
    third.endSession();
    third.close();
    const fourth = await setting.open({}, { tableKey: tableKey(9) });
    assert.equal(fourth.sessions.last, present);
    assert.deepEqual(fourth.sessions.unsettled, [{ from: killed, to: killed, bootId: boot }]);
    for (const session of [ended, killed, present]) {
      assert.ok(fourth.sessions.mayHaveBegun(session));
      assert.ok(!fourth.sessions.mayHaveBegun(session ^ 1));
    }
    fourth.settleSessions(killed);
    fourth.close();
    const fifth = await setting.open({}, { tableKey: tableKey(9) });
    assert.deepEqual([fifth.sessions.last, fifth.sessions.unsettled], [present, []]);
  });

  it("change the table's head at each opening", async (t) => {
    const setting = new TableSetting(t);
    const heads = new Set<string>();
    const table = await setting.create();
    for (let round = 0; round < 3; round++) {
      table.beginSession(table.sessions.next(), boot);
      heads.add(table.head.link.toString("hex"));
      table.endSession();
      heads.add(table.head.link.toString("hex"));
    }
    assert.equal(heads.size, 6);
  });

  it("make a cut between two records show once the session has ended", async (t) => {
    const setting = new TableSetting(t);
    const table = await setting.create();
    const path = join(setting.folder, "keys");
    table.beginSession(table.sessions.next(), boot);
    table.setRules([{ pattern: "secret", becomes: "plain" }]);
    const before = readFileSync(path).length;
    table.setRules([{ pattern: "secret", becomes: "table-sealed" }]);
    const within = readFileSync(path).length;
    table.makeZone(["secret"], "table-sealed");
    table.endSession();
    table.close();
    const bytes = readFileSync(path);
    for (let length = Math.min(before, within) - 40; length < bytes.length; length++) {
      truncateSync(path, length);
      await assert.rejects(setting.open(), damaged, `cut to ${length}`);
      writeFileSync(path, bytes);
    }
    (await setting.open()).close();
  });

  it("of the oldest number that is known are told apart, whichever random bits are larger", () => {
    const log = SessionLog.none.begun(unit + 5, boot);
    for (const other of [unit + 4, unit + 6]) assert.equal(log.mayHaveBegun(other), false);
    assert.equal(log.mayHaveBegun(unit + 5), true);
  });

  it("are refused out of turn", async (t) => {
    const table = await new TableSetting(t).create();
    for (const wrong of [() => table.endSession(), () => table.settleSessions(unit)]) assert.throws(wrong, damaged);
    table.beginSession(table.sessions.next(), boot);
    table.endSession();
    assert.throws(() => table.endSession(), damaged);
    assert.throws(() => SessionLog.none.begun(2 * unit, boot), damaged);
    assert.throws(() => SessionLog.none.begun(0, boot), damaged);
  });

  it("are kept in bounded room however many crash, and none is forgotten", () => {
    let log = SessionLog.none;
    for (let number = 1; number <= 2000; number++) {
      log = log.begun(number * unit, boot);
      if (number % 10 === 0) log = log.ended(number * unit);
    }
    assert.ok(log.unsettled.length <= 256);
    for (let number = 1; number <= 2000; number++)
      if (number % 10 !== 0) assert.ok(log.isUnsettled(number * unit), `session ${number}`);
    assert.equal(log.isUnsettled(2000 * unit), false);
    assert.deepEqual(
      [1, 1999, 1999.5].map((number) => log.mayHaveBegun(number * unit)),
      [true, true, false],
    );
    assert.deepEqual(log.unsettled[0]?.bootId, Buffer.alloc(16));
    const body = new BodyWriter();
    log.writeTo(body);
    assert.deepEqual(SessionLog.read(new BodyReader(body.finish())), log);
  });

  it("are refused as bytes that overlap, lie beyond the last, or are too many", () => {
    const entry = (from: number, to: number) => ({ from, to, bootId: boot });
    const known = [unit, 2 * unit + 7, 3 * unit];
    for (const [sessions, ...unsettled] of [
      [[1]],
      [[unit, unit]],
      [[unit, 3 * unit]],
      [Array.from({ length: 1025 }, (_, at) => (at + 1) * unit)],
      [known, entry(2 * unit, unit)],
      [known, entry(0, unit)],
      [known, entry(2 * unit, 3 * unit + 1)],
      [known, entry(unit, 2 * unit), entry(2 * unit, 3 * unit)],
      [known, ...Array.from({ length: 257 }, (_, at) => entry(unit + at, unit + at))],
    ] as [number[], ...ReturnType<typeof entry>[]][]) {
      const body = new BodyWriter().u16(sessions.length);
      for (const session of sessions) body.u48(session);
      body.u16(unsettled.length);
      for (const { from, to, bootId } of unsettled) body.u48(from).u48(to).fixed(bootId);
      assert.throws(() => SessionLog.read(new BodyReader(body.finish())), damaged);
    }
  });
});

it("what is cut off a key table's end is kept beside it", async (t) => {
  const setting = new TableSetting(t);
  const table = await setting.create();
  const path = join(setting.folder, "keys");
  table.makeZone(["zone"], "table-sealed");
  table.close();
  const bytes = readFileSync(path);
  const torn = Buffer.from("half of a record");
  writeFileSync(path, Buffer.concat([bytes, torn]));
  const copy = join(setting.folder, "keys.torn");
  (await setting.open({ readOnly: true })).close();
  assert.ok(!existsSync(copy));
  (await setting.open()).close();
  assert.deepEqual(readFileSync(copy), torn);
  assert.deepEqual(readFileSync(path), bytes);
});
