import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import { createSealedFile, openSealedFile } from "../../../../../src/volume/sealfs/store/create-and-open.ts";
import { mostFileBytes } from "../../../../../src/volume/sealfs/store/geometry.ts";
import type { FileLayout, StoredFile } from "../../../../../src/volume/sealfs/stored-file.ts";
import { MemoryBackingFile } from "../../../../sealfs/memory-backing.ts";
import { TestKeys } from "../../../../sealfs/test-keys.ts";

const fileId = Buffer.from("a file's own id!");
const layout: FileLayout = { blockBytes: 4096, integrity: "blocks" };
const keys = new TestKeys();

function create(backing = new MemoryBackingFile()): StoredFile {
  return createSealedFile(backing, fileId, keys, layout, () => {});
}

test("a hole takes no room, is found, and reads as zeros", () => {
  const backing = new MemoryBackingFile();
  const file = create(backing);
  file.write(2 ** 40, Buffer.from("far"));
  file.commit(true);
  equal(file.size, 2 ** 40 + 3);
  equal(file.seekData(0), 2 ** 40);
  equal(file.seekHole(0), 0);
  equal(file.seekHole(2 ** 40), 2 ** 40 + 3);
  equal(file.seekData(2 ** 40 + 3), undefined);
  equal(file.allocatedBytes, 4096);
  ok(backing.size() < 40_000, `${backing.size()} bytes for one block and its map`);
  const bytes = Buffer.alloc(10_000, 1);
  equal(file.read(12_345, bytes), 10_000);
  ok(bytes.every((byte) => byte === 0));
});

test("enlarging a file makes a hole, and what was cut off does not come back", () => {
  const file = create();
  file.write(0, Buffer.alloc(10_000, 7));
  file.truncate(5000);
  file.truncate(50_000);
  const bytes = Buffer.alloc(50_000);
  file.read(0, bytes);
  ok(bytes.subarray(0, 5000).every((byte) => byte === 7));
  ok(bytes.subarray(5000).every((byte) => byte === 0));
  equal(file.seekHole(0), 8192);
  equal(file.seekData(8192), undefined);
});

test("a punched range reads as zeros, and whole blocks of it become holes whose room is given back", () => {
  const backing = new MemoryBackingFile();
  const file = create(backing);
  file.write(0, Buffer.alloc(2000 * 4096, 7));
  file.commit(true);
  file.punch(100, 1500 * 4096);
  equal(file.size, 2000 * 4096);
  file.commit(true);
  equal(file.allocatedBytes, 501 * 4096);
  equal(file.seekHole(0), 4096);
  equal(file.seekData(4096), 1500 * 4096);
  const punched = backing.changes.reduce((sum, change) => sum + (change.kind === "punch" ? change.length : 0), 0);
  ok(punched > 1400 * 4096, `${punched} bytes were punched`);
  const bytes = Buffer.alloc(8192);
  file.read(0, bytes);
  ok(bytes.subarray(0, 100).every((byte) => byte === 7));
  ok(bytes.subarray(100).every((byte) => byte === 0));
  deepEqual(file.check(), []);
});

test("a file that is emptied gives all of its room back", () => {
  const backing = new MemoryBackingFile();
  const file = create(backing);
  file.write(0, Buffer.alloc(1000 * 4096, 7));
  file.commit(true);
  file.truncate(0);
  file.commit(true);
  equal(file.allocatedBytes, 0);
  equal(backing.size(), 8192);
});

test("room that a former opening freed is found again", () => {
  let backing = new MemoryBackingFile();
  const file = create(backing);
  file.write(0, Buffer.alloc(500 * 4096, 1));
  file.close();
  for (let round = 0; round < 20; round += 1) {
    backing = backing.copy();
    const again = openSealedFile(backing, fileId, keys.of, layout, { clean: true, events: () => {} });
    again.write(0, Buffer.alloc(500 * 4096, round));
    if (round % 2 === 0) again.commit(true);
    again.close();
  }
  const content = backing.content();
  let inUse = 0;
  for (let at = 0; at < content.length; at += 4096)
    if (content.subarray(at, at + 4096).some((byte) => byte !== 0)) inUse += 4096;
  ok(inUse < 3 * 500 * 4128, `${inUse} bytes for ${500 * 4096}`);
});

test("writing one place over and over without a commit does not fill the disk", () => {
  const backing = new MemoryBackingFile();
  const file = create(backing);
  file.write(0, Buffer.alloc(4096));
  file.commit(true);
  for (let round = 0; round < 20_000; round += 1) file.write((round % 7) * 4096, Buffer.alloc(4096, round));
  ok(backing.size() < 100 * 4128 || backing.size() < 8192 + 4200 * 4128, `${backing.size()} bytes`);
  file.commit(true);
  deepEqual(file.check(), []);
});

test("small appends cost one seal for each commit, not one each", () => {
  const backing = new MemoryBackingFile();
  const file = create(backing);
  for (let round = 0; round < 1000; round += 1) file.write(file.size, Buffer.from("a line of a log\n"));
  file.commit(true);
  const writes = backing.changes.filter(({ kind }) => kind === "write").length;
  ok(writes <= 6, `${writes} writes for four blocks and the heads`);
});

test("neighbouring blocks are written in one go", () => {
  const backing = new MemoryBackingFile();
  const file = create(backing);
  file.write(0, Buffer.alloc(128 * 4096, 3));
  equal(backing.changes.length, 1);
});

test("a commit with nothing changed writes nothing", () => {
  const backing = new MemoryBackingFile();
  const file = create(backing);
  file.write(0, Buffer.from("x"));
  file.commit(true);
  const changes = backing.changes.length;
  file.commit(true);
  file.commit(false);
  file.read(0, Buffer.alloc(1));
  file.close();
  equal(backing.changes.length, changes);
});

test("allocating changes the size only, and not with keepSize", () => {
  const file = create();
  file.allocate(0, 5000, true);
  equal(file.size, 0);
  file.allocate(100, 5000, false);
  equal(file.size, 5100);
  file.allocate(0, 10, false);
  equal(file.size, 5100);
  equal(file.seekData(0), undefined);
});

test("a file beyond the limit is refused with EFBIG and left as it was", () => {
  const isTooBig = (error: unknown) => error instanceof FsError && error.code === "EFBIG";
  const file = create();
  file.write(0, Buffer.from("x"));
  throws(() => file.write(mostFileBytes - 1, Buffer.from("xy")), isTooBig);
  throws(() => file.truncate(mostFileBytes + 1), isTooBig);
  throws(() => file.truncate(Number.NaN), isTooBig);
  throws(() => file.allocate(1, mostFileBytes, false), isTooBig);
  equal(file.size, 1);
  file.write(mostFileBytes - 1, Buffer.from("y"));
  file.commit(true);
  equal(file.size, mostFileBytes);
  equal(file.seekData(4096), mostFileBytes - 4096);
  deepEqual(file.check(), []);
});

test("looking for a hole or data beyond the end finds none", () => {
  const file = create();
  file.write(0, Buffer.from("x"));
  equal(file.seekData(1), undefined);
  throws(
    () => file.seekHole(1),
    (error: unknown) => error instanceof FsError && error.code === "ENXIO",
  );
  equal(file.read(1, Buffer.alloc(5)), 0);
  equal(file.read(100, Buffer.alloc(5)), 0);
});
