import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import { createSealedFile, openSealedFile } from "../../../../../src/volume/sealfs/store/create-and-open.ts";
import type { FileLayout, StoredFile } from "../../../../../src/volume/sealfs/stored-file.ts";
import { MemoryBackingFile } from "../../../../sealfs/memory-backing.ts";
import { TestKeys } from "../../../../sealfs/test-keys.ts";

const fileId = Buffer.from("a file's own id!");
const layout: FileLayout = { blockBytes: 4096, integrity: "blocks" };
const quiet = () => {};
const isNoKey = (error: unknown) => error instanceof FsError && error.code === "ENOKEY";

function create(backing: MemoryBackingFile, keys: TestKeys): StoredFile {
  return createSealedFile(backing, fileId, keys, layout, quiet);
}

function open(backing: MemoryBackingFile, keys: TestKeys, clean = true): StoredFile {
  return openSealedFile(backing, fileId, keys.of, layout, { clean, events: quiet });
}

function all(file: StoredFile): Buffer {
  const bytes = Buffer.alloc(file.size);
  file.read(0, bytes);
  return bytes;
}

const content = Buffer.alloc(600 * 4096);
for (let at = 0; at < content.length; at += 1) content[at] = (at * 11 + (at >> 12)) & 255;

test("what is written after a rotation lies under the new generation, and both are read", () => {
  const keys = new TestKeys();
  const backing = new MemoryBackingFile();
  const file = create(backing, keys);
  file.write(0, content.subarray(0, 40_960));
  file.commit(true);
  deepEqual([...file.bytesByGeneration()], [[1, 40_960 + 4096]]);
  keys.generation = 2;
  file.write(0, content.subarray(0, 8192));
  deepEqual(file.bytesByGeneration().get(2), 8192);
  file.commit(true);
  deepEqual(
    [...file.bytesByGeneration()],
    [
      [1, 40_960 - 8192 + 4096],
      [2, 8192 + 4096],
    ],
  );
  file.close();
  ok(all(open(backing.copy(), keys)).equals(content.subarray(0, 40_960)));
});

test("resealing goes on after a crash in its midst, and then no byte needs the old generation", () => {
  const keys = new TestKeys();
  let backing = new MemoryBackingFile();
  const file = create(backing, keys);
  file.write(0, content);
  file.close();
  keys.generation = 2;
  let left = content.length;
  for (let session = 0; left > 0; session += 1) {
    ok(session < 20, "resealing does not come to an end");
    backing = backing.copy();
    const half = open(backing, keys, false);
    const before = [...half.bytesByGeneration()].reduce(
      (sum, [generation, bytes]) => sum + (generation < 2 ? bytes : 0),
      0,
    );
    left = half.reseal(100 * 4096);
    ok(left < before);
    ok(all(half).equals(content));
    half.commit(false); // and the process ends here, without closing the file
  }
  keys.destroyed.add(1);
  const done = open(backing.copy(), keys);
  deepEqual(new Set(done.bytesByGeneration().keys()), new Set([2]));
  deepEqual(done.check(), []);
  ok(all(done).equals(content));
});

test("an empty file's head is resealed as well", () => {
  const keys = new TestKeys();
  const backing = new MemoryBackingFile();
  const file = create(backing, keys);
  file.commit(true);
  keys.generation = 2;
  deepEqual([...file.bytesByGeneration()], [[1, 4096]]);
  equal(file.reseal(4096), 0);
  deepEqual([...file.bytesByGeneration()], [[2, 4096]]);
  file.close();
  keys.destroyed.add(1);
  equal(open(backing.copy(), keys).size, 0);
});

test("resealing comes to an end with more generations than a file's table has room for", () => {
  const keys = new TestKeys();
  const backing = new MemoryBackingFile();
  const file = create(backing, keys);
  for (let generation = 1; generation <= 25; generation += 1) {
    keys.generation = generation;
    file.write((generation - 1) * 4096, content.subarray(generation * 100, generation * 100 + 4096));
    file.commit(generation % 2 === 0);
  }
  const before = all(file);
  let rounds = 0;
  while (file.reseal(5 * 4096) > 0) {
    rounds += 1;
    ok(rounds < 30, "resealing does not come to an end");
  }
  deepEqual([...file.bytesByGeneration().keys()], [25]);
  ok(all(file).equals(before));
  file.close();
  for (let generation = 1; generation < 25; generation += 1) keys.destroyed.add(generation);
  ok(all(open(backing.copy(), keys)).equals(before));
});

test("a destroyed generation makes its blocks unreadable, with ENOKEY, and no others", () => {
  const keys = new TestKeys();
  const backing = new MemoryBackingFile();
  const file = create(backing, keys);
  file.write(0, content.subarray(0, 8192));
  file.commit(true);
  keys.generation = 2;
  file.write(4096, content.subarray(0, 4096));
  file.commit(true);
  file.write(4096, content.subarray(0, 4096));
  file.commit(true);
  file.close();
  keys.destroyed.add(1);
  const left = open(backing.copy(), keys);
  throws(() => left.read(0, Buffer.alloc(4096)), isNoKey);
  const second = Buffer.alloc(4096);
  left.read(4096, second);
  ok(second.equals(content.subarray(0, 4096)));
  deepEqual(left.check(), ["block 0 lies under a key that is not there"]);
});

for (const [claimed, whose] of [
  [1, "no sequence"],
  [77, "no sequence"],
  [1, "the newest's sequence"],
  [77, "the newest's sequence"],
] as const)
  test(`a newest head that is overwritten by one with ${whose} that names generation ${claimed}, which is not there, does not give way to an older one`, () => {
    const keys = new TestKeys();
    const backing = new MemoryBackingFile();
    const file = create(backing, keys);
    file.write(0, Buffer.from("one"));
    file.commit(true);
    keys.generation = 2;
    while (file.reseal(1 << 20) > 0);
    keys.destroyed.add(1);
    for (const text of ["two", "new"]) {
      file.write(0, Buffer.from(text));
      file.commit(true);
    }
    file.close();
    const bytes = backing.content();
    const sequences = [0, 1].map((place) => bytes.readUIntBE(place * 4096 + 50, 6));
    const newest = (sequences[0] ?? 0) > (sequences[1] ?? 0) ? 0 : 4096;
    bytes.writeUInt32BE(claimed, newest + 12);
    if (whose === "no sequence") bytes.writeUIntBE(0, newest + 50, 6);
    const told: string[] = [];
    const events = (_id: Buffer, what: string) => void told.push(what);
    throws(
      () => openSealedFile(MemoryBackingFile.of(bytes), fileId, keys.of, layout, { clean: true, events }),
      isNoKey,
    );
    deepEqual(told, ["a head names a key that is not there"]);
  });

for (const unanswered of [1, 2])
  test(`a head whose generation ${unanswered} nobody opens at the moment is refused, and told as no damage`, () => {
    const keys = new TestKeys();
    const backing = writtenUnderTwo(keys);
    keys.unanswered.add(unanswered);
    const told: string[] = [];
    const events = (_id: Buffer, what: string) => void told.push(what);
    throws(() => openSealedFile(backing.copy(), fileId, keys.of, layout, { clean: true, events }), isNoKey);
    deepEqual(told, []);
  });

test("resealing leaves no head under the old generation, and what is left opens without its key", () => {
  const keys = new TestKeys();
  const backing = new MemoryBackingFile();
  const file = create(backing, keys);
  for (const text of ["one", "two"]) {
    file.write(0, Buffer.from(text));
    file.commit(true);
  }
  keys.generation = 2;
  file.write(0, Buffer.from("new"));
  file.commit(true);
  deepEqual(file.bytesByGeneration().get(1), 4096);
  equal(file.reseal(1 << 20), 0);
  file.close();
  keys.destroyed.add(1);
  for (const clean of [true, false]) deepEqual(all(open(backing.copy(), keys, clean)).toString(), "new");
});

test("a newest head without its key does not give way to an older one", () => {
  const keys = new TestKeys();
  const backing = writtenUnderTwo(keys);
  keys.destroyed.add(2);
  for (const clean of [true, false]) throws(() => open(backing.copy(), keys, clean), isNoKey);
});

test("nothing can be written without the key of the newest generation, and nothing is lost by trying", () => {
  const keys = new TestKeys();
  const backing = new MemoryBackingFile();
  const file = create(backing, keys);
  file.write(0, content.subarray(0, 8192));
  file.commit(true);
  keys.generation = 2;
  keys.destroyed.add(2);
  throws(() => file.write(0, content.subarray(0, 4096)), isNoKey);
  throws(() => file.reseal(4096), isNoKey);
  ok(all(file).equals(content.subarray(0, 8192)));
  keys.destroyed.clear();
  file.write(0, Buffer.alloc(4096, 9));
  file.commit(true);
  deepEqual(file.check(), []);
});

/** A file with a durable head under the first generation, and a newer one under the second. */
function writtenUnderTwo(keys: TestKeys): MemoryBackingFile {
  const backing = new MemoryBackingFile();
  const file = create(backing, keys);
  file.write(0, Buffer.from("one"));
  file.commit(true);
  keys.generation = 2;
  file.write(0, Buffer.from("two"));
  file.commit(true);
  file.close();
  return backing;
}
