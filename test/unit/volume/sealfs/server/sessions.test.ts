import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import type { OpenedVolume } from "../../../../../src/volume/sealfs/server/opened-volume.ts";
import { settleSessions } from "../../../../../src/volume/sealfs/server/settling.ts";
import { observeSystemCalls } from "../../../../../src/volume/sealfs/system/calls.ts";
import { StoreInTest } from "./store-in-test.ts";

const caller = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, pid: 1 };
const isEio = (error: unknown) => error instanceof FsError && error.code === "EIO";
const root = 1;

/** The backing file of an entry of the root. */
function pathOf({ folder }: StoreInTest, name: string): string {
  const [found = assert.fail()] = readdirSync(join(folder, "tree")).filter((one) => one.startsWith(`${name}~`));
  return join(folder, "tree", found);
}

function begin(volume: OpenedVolume, name: string, text: string): number {
  const { handle } = volume.tree.create(root, name, 0o644, 2, caller);
  volume.tree.write(handle, 0, Buffer.from(text));
  return handle;
}

function write(volume: OpenedVolume, name: string, text: string): void {
  volume.tree.release(begin(volume, name, text));
}

function read(volume: OpenedVolume, name: string): string {
  const { node } = volume.tree.lookup(root, name);
  try {
    const handle = volume.tree.open(node, 0);
    const bytes = Buffer.alloc(100_000);
    const length = volume.tree.read(handle, 0, bytes);
    volume.tree.release(handle);
    return bytes.toString("utf8", 0, length);
  } finally {
    volume.tree.forget(node, 1);
  }
}

function settle(volume: OpenedVolume): void {
  const steps = settleSessions(volume, () => {});
  while (steps.next().done !== true);
}

describe("a sealfs volume", () => {
  it("keeps what a killed session left recoverable through any number of orderly ends and checks", async (t) => {
    const store = await StoreInTest.make(t);
    const first = await store.open();
    write(first, "closed", "closed");
    begin(first, "lock", "never committed");
    const left = store.killed();
    first.close();
    for (let round = 0; round < 2; round++) {
      (await left.open("check")).close();
      (await left.open()).close();
    }
    const volume = await left.open();
    assert.equal(volume.wasClean, false);
    assert.equal(read(volume, "lock"), "");
    assert.equal(read(volume, "closed"), "closed");
    volume.close();
    const again = await left.open();
    assert.equal(read(again, "lock"), "");
    again.close();
  });

  it("is changed by no check, after a crash or not", async (t) => {
    const store = await StoreInTest.make(t);
    const volume = await store.open();
    write(volume, "closed", "closed");
    begin(volume, "lock", "never committed");
    const left = store.killed();
    volume.close();
    const all = () =>
      readdirSync(left.folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => [entry.name, readFileSync(join(entry.parentPath, entry.name)).toString("hex")]);
    const before = all();
    const check = await left.open("check");
    assert.equal(read(check, "closed"), "closed");
    assert.throws(() => read(check, "lock"), isEio);
    check.close();
    assert.deepEqual(all(), before);
  });

  it("forgets a killed session once all it left is settled, and calls damage in it damage from then on", async (t) => {
    const store = await StoreInTest.make(t);
    const first = await store.open();
    write(first, "one", "one");
    begin(first, "lock", "never committed");
    const left = store.killed();
    first.close();
    const second = await left.open();
    settle(second);
    second.close();
    const third = await left.open();
    assert.equal(third.wasClean, true);
    assert.equal(read(third, "lock"), "");
    assert.equal(read(third, "one"), "one");
    third.close();
    truncateSync(pathOf(left, "one"), 0);
    const fourth = await left.open();
    assert.throws(() => read(fourth, "one"), isEio);
    fourth.close();
  });

  it("answers EIO for a file that was cut to nothing, after an orderly end and after a later crash", async (t) => {
    const store = await StoreInTest.make(t);
    const first = await store.open();
    write(first, "file", "x".repeat(60_000));
    first.close();
    truncateSync(pathOf(store, "file"), 0);
    const second = await store.open();
    assert.throws(() => read(second, "file"), isEio);
    const left = store.killed();
    second.close();
    const third = await left.open();
    assert.equal(third.wasClean, false);
    assert.throws(() => read(third, "file"), isEio);
    settle(third);
    assert.throws(() => read(third, "file"), isEio);
    third.close();
    assert.ok(store.told.some((line) => line.startsWith("content-damaged")));
  });

  it("has begun no session when it could not be opened", async (t) => {
    const store = await StoreInTest.make(t);
    (await store.open()).close();
    const tree = join(store.folder, "tree");
    renameSync(tree, `${tree}.away`);
    const before = readFileSync(join(store.folder, "keys"));
    await assert.rejects(store.open());
    assert.deepEqual(readFileSync(join(store.folder, "keys")), before);
    renameSync(`${tree}.away`, tree);
    const volume = await store.open();
    assert.equal(volume.wasClean, true);
    volume.close();
  });

  it("does not believe an older key table beside newer files, nor a mark of a sync that was put back", async (t) => {
    const store = await StoreInTest.make(t);
    const older = store.killed();
    const volume = await store.open();
    write(volume, "file", "newer");
    volume.close();
    cpSync(join(older.folder, "keys"), join(store.folder, "keys"));
    const again = await store.open();
    assert.throws(() => read(again, "file"), isEio);
    assert.ok(store.told.some((line) => line.includes("an older key table was put back")));
    again.close();
  });

  it("makes durable within seconds what was closed without a sync, and says how far it came", async (t) => {
    const store = await StoreInTest.make(t);
    const volume = await store.open();
    assert.equal(volume.hasUnsynced, false);
    write(volume, "file", "closed");
    assert.equal(volume.hasUnsynced, true);
    const before = readFileSync(join(store.folder, "synced"));
    assert.ok(volume.syncWhenDue() <= 5000);
    volume.sync();
    assert.equal(volume.hasUnsynced, false);
    assert.notDeepEqual(readFileSync(join(store.folder, "synced")), before);
    begin(volume, "open", "not committed by anyone");
    volume.sync();
    const left = store.killed();
    volume.close();
    const again = await left.open();
    assert.equal(read(again, "open"), "not committed by anyone");
    again.close();
    assert.ok(!existsSync(join(store.folder, "clean")));
  });
});

describe("a check after a crash", () => {
  it("leaves a replaced entry and a begun exchange as they are", async (t) => {
    const store = await StoreInTest.make(t);
    const volume = await store.open();
    for (const name of ["a", "b", "c", "d"]) write(volume, name, name);
    const cutAt = (call: string, time: number, change: () => void) => {
      let left = time;
      observeSystemCalls((name) => {
        if (name === call) left -= 1;
        if (left <= 0) throw new Error("killed");
      });
      assert.throws(change, /killed/);
      observeSystemCalls(undefined);
    };
    t.after(() => observeSystemCalls(undefined));
    // The replaced entry is not removed any more; of the exchange's three renames the first writes it down.
    cutAt("unlinkat", 1, () => volume.tree.rename(root, "c", root, "d", 0));
    cutAt("renameat2", 3, () => volume.tree.rename(root, "a", root, "b", 2));
    const killed = store.killed();
    volume.close();
    const names = () => readdirSync(join(killed.folder, "tree")).sort();
    const before = names();
    assert.equal(before.length, 5);
    const checked = await killed.open("check");
    assert.equal(read(checked, "d"), "c");
    checked.close();
    assert.deepEqual(names(), before);
    assert.deepEqual(
      killed.told.filter((what) => what.startsWith("exchange")),
      ["exchange-unfinished: {}"],
    );
    const served = await killed.open();
    assert.deepEqual([read(served, "a"), read(served, "b"), read(served, "d")], ["b", "a", "c"]);
    served.close();
    assert.equal(names().length, 3);
  });
});
