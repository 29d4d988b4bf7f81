import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { it, type TestContext } from "node:test";
import type { KeyTable } from "../../../../../src/volume/sealfs/keys/key-table.ts";
import { SyncMarks } from "../../../../../src/volume/sealfs/server/sync-marks.ts";
import { VolumeSession } from "../../../../../src/volume/sealfs/server/volume-session.ts";
import { TableSetting } from "../keys/table-setting.ts";

const boot = Buffer.alloc(16, 1);
const laterBoot = Buffer.alloc(16, 2);
const mac = (message: Buffer) => createHmac("sha256", "a key of the volume").update(message).digest();

class Sessions {
  readonly setting: TableSetting;
  readonly marks: string;

  constructor(t: TestContext) {
    this.setting = new TableSetting(t);
    this.marks = join(this.setting.folder, "synced");
  }

  async next(bootId: Buffer): Promise<{ readonly session: VolumeSession; readonly table: KeyTable }> {
    const table = await this.setting.open();
    const session = new VolumeSession(table, new SyncMarks(this.marks, mac), bootId);
    session.begin();
    return { session, table };
  }
}

it("a head is judged by how its session ended, by the machine's start, and by the last sync of the store", async (t) => {
  const sessions = new Sessions(t);
  (await sessions.setting.create()).close();
  const first = await sessions.next(boot);
  const ended = first.session.stamp();
  assert.equal(first.session.fateOf(ended), "current");
  first.session.synced(() => {});
  assert.equal(first.session.fateOf(ended), "closed");
  first.table.endSession();
  first.table.close();

  const second = await sessions.next(boot);
  const early = second.session.stamp();
  second.session.synced(() => {});
  const late = second.session.stamp();
  assert.throws(() =>
    second.session.synced(() => {
      throw new Error("the disk is gone");
    }),
  );
  assert.equal(second.session.fateOf(late), "current");
  assert.equal(second.session.hasUnsynced, true);
  const marks = readFileSync(sessions.marks);
  second.table.close();

  const third = await sessions.next(boot);
  for (const stamp of [early, late]) assert.equal(third.session.fateOf(stamp), "killed");
  assert.equal(third.session.fateOf(ended), "closed");
  third.table.close();

  for (const [found, ofEarly] of [
    [marks, "synced"],
    [Buffer.alloc(0), "unproven"],
    [Buffer.from(marks).fill(1, 6, 12).fill(1, 518, 524), "unproven"],
  ] as const) {
    writeFileSync(sessions.marks, found);
    const table = await sessions.setting.open();
    const session = new VolumeSession(table, new SyncMarks(sessions.marks, mac), laterBoot);
    assert.equal(session.fateOf(early), ofEarly);
    assert.equal(session.fateOf(late), "unproven");
    assert.equal(session.fateOf(ended), "closed");
    assert.equal(session.fateOf({ ...ended, session: ended.session ^ 1 }), "foreign");
    assert.equal(session.fateOf({ ...ended, tableSequence: table.head.sequence + 1 }), "foreign");
    table.close();
  }
});

it("a file may be blank only if it was made in a session that did not end well, or got no head in this one", async (t) => {
  const sessions = new Sessions(t);
  (await sessions.setting.create()).close();
  const first = await sessions.next(boot);
  const ofFirst = first.session.newFileId();
  assert.equal(ofFirst.length, 16);
  assert.equal(first.session.mayBeBlank(ofFirst), false);
  const health = first.session.healthOf(ofFirst, true);
  assert.equal(first.session.mayBeBlank(ofFirst), true);
  assert.equal(first.session.isWell, false);
  health.noteHead();
  assert.equal(first.session.mayBeBlank(ofFirst), false);
  assert.equal(first.session.isWell, true);
  health.noteSyncFailure();
  assert.equal(first.session.healthOf(ofFirst, false).syncFailed, true);
  assert.equal(first.session.isWell, false);
  first.table.endSession();
  first.table.close();
  const second = await sessions.next(boot);
  const ofSecond = second.session.newFileId();
  assert.equal(second.session.mayBeBlank(ofFirst), false);
  second.table.close();
  const third = await sessions.next(boot);
  assert.equal(third.session.mayBeBlank(ofFirst), false);
  assert.equal(third.session.mayBeBlank(ofSecond), true);
});

it("a link in the place of the marks is not followed, and a session begins without them", async (t) => {
  const sessions = new Sessions(t);
  (await sessions.setting.create()).close();
  const victim = join(sessions.setting.folder, "victim");
  writeFileSync(victim, "untouched");
  rmSync(sessions.marks, { force: true });
  symlinkSync(victim, sessions.marks);
  const { session } = await sessions.next(boot);
  session.synced(() => {});
  assert.equal(readFileSync(victim, "utf8"), "untouched");
});
