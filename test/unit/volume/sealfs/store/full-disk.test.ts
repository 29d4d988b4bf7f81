import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import { createSealedFile, openSealedFile } from "../../../../../src/volume/sealfs/store/create-and-open.ts";
import type { FileLayout, StoredFile } from "../../../../../src/volume/sealfs/stored-file.ts";
import { MemoryBackingFile } from "../../../../sealfs/memory-backing.ts";
import { TestKeys } from "../../../../sealfs/test-keys.ts";

const fileId = Buffer.from("a file's own id!");
const layout: FileLayout = { blockBytes: 4096, integrity: "tree" };
const keys = new TestKeys();
const quiet = () => {};
const isFull = (error: unknown) => error instanceof FsError && error.code === "ENOSPC";

function open(backing: MemoryBackingFile, clean = false): StoredFile {
  return openSealedFile(backing, fileId, keys.of, layout, { clean, events: quiet, keysWhenBlank: keys });
}

function all(file: StoredFile): Buffer {
  const bytes = Buffer.alloc(file.size);
  file.read(0, bytes);
  return bytes;
}

/** Many kinds of writes, so that each kind of slot is written. */
function change(file: StoredFile): void {
  file.write(3, Buffer.from("in the first block"));
  file.write(4096, Buffer.alloc(3 * 4096, 2));
  file.write(200 * 4096, Buffer.from("far away: the map grows pages"));
  file.punch(5000, 100);
  file.truncate(201 * 4096);
}

function twoStates(): { readonly backing: MemoryBackingFile; readonly before: Buffer; readonly after: Buffer } {
  const backing = new MemoryBackingFile();
  const file = createSealedFile(backing, fileId, keys, layout, quiet);
  file.write(0, Buffer.alloc(20_000, 1));
  file.commit(true);
  file.close();
  const before = Buffer.alloc(20_000, 1);
  const changed = open(backing.copy());
  change(changed);
  return { backing, before, after: all(changed) };
}

test("a disk that fills up at any write leaves the committed state, and a file that can be finished when there is room", () => {
  const { backing, before, after } = twoStates();
  let failures = 0;
  for (let writes = 0; writes < 30; writes += 1) {
    const full = backing.copy();
    const file = open(full);
    full.writesLeft = writes;
    try {
      change(file);
      file.commit(true);
    } catch (error) {
      ok(isFull(error), String(error));
      failures += 1;
    }
    const left = all(open(full.copy()));
    ok(left.equals(before) || left.equals(after), `after ${writes} writes the file is neither as before nor as after`);
    full.writesLeft = Number.POSITIVE_INFINITY;
    change(file);
    file.commit(true);
    ok(all(file).equals(after));
    deepEqual(file.check(), []);
    const again = open(full.copy());
    ok(all(again).equals(after));
    deepEqual(again.check(), []);
  }
  ok(failures > 5 && failures < 30, `${failures} failures`);
});

test("a commit that found no room is made up for by the next", () => {
  const backing = new MemoryBackingFile();
  const file = createSealedFile(backing, fileId, keys, layout, quiet);
  file.write(0, Buffer.from("kept in memory"));
  backing.writesLeft = 0;
  for (const durable of [true, false, true]) throws(() => file.commit(durable), isFull);
  equal(all(file).toString(), "kept in memory");
  backing.writesLeft = Number.POSITIVE_INFINITY;
  file.commit(true);
  equal(all(open(backing.copy(), true)).toString(), "kept in memory");
});

test("failing writes do not make the backing file grow without end", () => {
  const backing = new MemoryBackingFile();
  const file = createSealedFile(backing, fileId, keys, layout, quiet);
  file.write(0, Buffer.alloc(8192, 1));
  file.commit(true);
  const size = backing.size();
  backing.writesLeft = 0;
  for (let tries = 0; tries < 100; tries += 1) throws(() => file.write(0, Buffer.alloc(8192, 2)), isFull);
  ok(backing.size() < size + 4 * 4128, `${backing.size()} bytes`);
  ok(all(file).equals(Buffer.alloc(8192, 1)));
});

test("closing a file that can't be written says so, and closes it", () => {
  const backing = new MemoryBackingFile();
  const file = createSealedFile(backing, fileId, keys, layout, quiet);
  file.write(0, Buffer.from("lost"));
  backing.writesLeft = 0;
  throws(() => file.close(), isFull);
  ok(backing.isClosed);
  file.close();
  throws(
    () => file.read(0, Buffer.alloc(1)),
    (error: unknown) => error instanceof FsError && error.code === "EBADF",
  );
});

test("after a sync that failed nothing is written or called durable any more, until the file is opened again", () => {
  const { backing, before } = twoStates();
  const failing = backing.copy();
  const file = open(failing, true);
  file.write(0, Buffer.from("never durable"));
  failing.syncsLeft = 0;
  const isEio = (error: unknown) => error instanceof FsError && error.code === "EIO";
  throws(() => file.commit(true), isEio);
  failing.syncsLeft = Number.POSITIVE_INFINITY;
  throws(() => file.commit(true), isEio);
  throws(() => file.write(0, Buffer.from("more")), isEio);
  const again = open(failing.copy());
  again.write(0, before.subarray(0, 13));
  again.commit(true);
  ok(all(again).equals(before));
});

test("looking for data and holes writes nothing, so it needs no room", () => {
  const backing = new MemoryBackingFile();
  const file = createSealedFile(backing, fileId, keys, layout, quiet);
  file.write(3 * 4096, Buffer.alloc(4096, 1));
  file.commit(true);
  file.write(4096 + 7, Buffer.from("held"));
  backing.writesLeft = 0;
  const before = backing.changes.length;
  equal(file.seekData(0), 4096);
  equal(file.seekData(2 * 4096), 3 * 4096);
  equal(file.seekHole(4096), 2 * 4096);
  equal(file.seekHole(0), 0);
  equal(file.seekHole(3 * 4096), 4 * 4096);
  equal(backing.changes.length, before);
});
