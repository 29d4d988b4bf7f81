import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import { settleSessions } from "../../../../../src/volume/sealfs/server/settling.ts";
import { observeSystemCalls } from "../../../../../src/volume/sealfs/system/calls.ts";
import { begin, makeZone, read, write, zonedStore } from "./zoned-store.ts";

const caller = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, pid: 1 };
const isNoKey = (error: unknown) => error instanceof FsError && error.code === "ENOKEY";

describe("a zone that is destroyed while a file of it is open and changed", () => {
  it("tells who has it open, and holds up neither the syncs of others nor an orderly end", async (t) => {
    const store = await zonedStore(t);
    const volume = await store.open();
    const zoneId = makeZone(volume, "gone");
    makeZone(volume, "kept");
    const handle = begin(volume, "gone", "file", Buffer.from("lost"));
    const other = begin(volume, "kept", "file", Buffer.from("kept"));
    volume.keys.destroyZone(zoneId);
    volume.tree.abandonZone(zoneId);
    assert.throws(() => volume.tree.flush(handle), isNoKey);
    volume.sync();
    volume.tree.syncAll();
    assert.throws(() => volume.tree.release(handle), isNoKey);
    volume.sync();
    volume.tree.release(other);
    const { node } = volume.tree.lookup(1, "gone");
    const before = store.told.length;
    assert.throws(() => volume.tree.create(node, "another", 0o644, 2, caller), isNoKey);
    assert.throws(() => volume.tree.lookup(node, "another"), { code: "ENOENT" });
    volume.close();
    assert.equal(store.told.length, before);
  });

  it("does not keep a crash from being settled", async (t) => {
    const store = await zonedStore(t);
    const volume = await store.open();
    const zoneId = makeZone(volume, "gone");
    write(volume, "gone", "file", Buffer.from("lost"));
    makeZone(volume, "kept");
    write(volume, "kept", "file", Buffer.from("kept"));
    volume.keys.destroyZone(zoneId);
    const killed = store.killed();
    volume.close();
    const again = await killed.open();
    assert.equal(again.wasClean, false);
    const steps = settleSessions(again, (what) => assert.fail(what));
    while (steps.next().done !== true);
    again.close();
    const last = await killed.open();
    assert.equal(last.wasClean, true);
    assert.equal(read(last, "kept", "file").toString(), "kept");
    last.close();
  });
});

describe("a zone that is destroyed between a file's lookup and its reading", () => {
  it("answers ENOKEY when the file is opened, and when one that was opened before is read", async (t) => {
    const store = await zonedStore(t);
    const before = await store.open();
    makeZone(before, "gone");
    write(before, "gone", "file", Buffer.from("lost"));
    before.close();
    const volume = await store.open();
    const { tree, keys } = volume;
    const { node } = tree.lookup(tree.lookup(1, "gone").node, "file");
    const handle = tree.open(node, 0);
    keys.destroyZone(keys.table.zoneOf(["gone"]).zoneId);
    assert.throws(() => tree.read(handle, 0, Buffer.alloc(10)), isNoKey);
    assert.throws(() => tree.open(node, 0), isNoKey);
    tree.release(handle);
    volume.close();
  });
});

describe("a file that cannot be committed", () => {
  it("keeps no other from being durable, and is told of", async (t) => {
    const store = await zonedStore(t);
    const volume = await store.open();
    const zoneId = makeZone(volume, "gone");
    makeZone(volume, "kept");
    const handle = begin(volume, "gone", "file", Buffer.from("lost"));
    const other = begin(volume, "kept", "file", Buffer.from("kept"));
    volume.keys.destroyZone(zoneId);
    let synced = 0;
    observeSystemCalls((name) => {
      if (name === "syncfs") synced += 1;
    });
    t.after(() => observeSystemCalls(undefined));
    assert.throws(() => volume.sync(), isNoKey);
    assert.equal(synced, 1);
    for (const one of [handle, other])
      try {
        volume.tree.release(one);
      } catch (error) {
        assert.ok(isNoKey(error));
      }
    assert.throws(() => volume.close(), isNoKey);
  });

  it("is of no matter to its session once it is removed", async (t) => {
    const store = await zonedStore(t);
    const volume = await store.open();
    makeZone(volume, "zone");
    const { node } = volume.tree.lookup(1, "zone");
    const { handle } = volume.tree.create(node, "temporary", 0o600, 2, caller);
    volume.tree.write(handle, 0, Buffer.from("too much"));
    observeSystemCalls((name) => {
      if (name === "pwrite") throw new FsError("ENOSPC", "no room");
    });
    t.after(() => observeSystemCalls(undefined));
    assert.throws(() => volume.tree.release(handle), { code: "ENOSPC" });
    volume.tree.unlink(node, "temporary");
    observeSystemCalls(undefined);
    volume.close();
    const again = await store.open();
    assert.equal(again.wasClean, true);
    again.close();
  });
});
