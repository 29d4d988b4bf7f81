import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import { PlainFile } from "../../../../../src/volume/sealfs/store/plain-file.ts";
import type { StoredFile } from "../../../../../src/volume/sealfs/stored-file.ts";
import { MemoryBackingFile } from "../../../../sealfs/memory-backing.ts";

test("a plain file is its backing file", () => {
  const backing = new MemoryBackingFile();
  const file: StoredFile = new PlainFile(backing);
  file.write(3, Buffer.from("plain"));
  equal(backing.content().toString("latin1"), "\0\0\0plain");
  equal(file.size, 8);
  file.truncate(5);
  file.allocate(0, 7, true);
  equal(file.size, 5);
  file.allocate(0, 7, false);
  equal(file.size, 7);
  deepEqual([file.bytesByGeneration().size, file.reseal(1), file.check().length], [0, 0, 0]);
});

test("a durable commit syncs, another does not", () => {
  const backing = new MemoryBackingFile();
  const file = new PlainFile(backing);
  file.commit(false);
  equal(backing.changes.length, 0);
  file.commit(true);
  deepEqual(backing.changes, [{ kind: "sync" }]);
  file.close();
  ok(backing.isClosed);
});

test("punching makes zeros, also where the file system below does not punch", () => {
  class NoPunch extends MemoryBackingFile {
    override punch(): void {}
  }
  const backing = new NoPunch();
  const file = new PlainFile(backing);
  file.write(0, Buffer.alloc(200_000, 7));
  file.punch(10, 150_000);
  equal(file.size, 200_000);
  const bytes = Buffer.alloc(200_000);
  file.read(0, bytes);
  ok(bytes.subarray(0, 10).every((byte) => byte === 7));
  ok(bytes.subarray(10, 150_010).every((byte) => byte === 0));
  ok(bytes.subarray(150_010).every((byte) => byte === 7));
  file.punch(300_000, 10);
  equal(file.size, 200_000);
});

test("all of a plain file is data, and its end is its hole", () => {
  const file = new PlainFile(MemoryBackingFile.of(Buffer.alloc(100)));
  equal(file.seekData(5), 5);
  equal(file.seekHole(5), 100);
  equal(file.seekData(100), undefined);
  throws(
    () => file.seekHole(100),
    (error: unknown) => error instanceof FsError && error.code === "ENXIO",
  );
});
