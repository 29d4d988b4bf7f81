import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import { createSealedFile, openSealedFile } from "../../../../../src/volume/sealfs/store/create-and-open.ts";
import { slotsBegin } from "../../../../../src/volume/sealfs/store/geometry.ts";
import type { FileLayout, StoredFile } from "../../../../../src/volume/sealfs/stored-file.ts";
import { MemoryBackingFile } from "../../../../sealfs/memory-backing.ts";
import { TestKeys } from "../../../../sealfs/test-keys.ts";

const fileId = Buffer.from("a file's own id!");
const layout: FileLayout = { blockBytes: 4096, integrity: "tree" };
const strideBytes = 4096 + 32;
const keys = new TestKeys();
const blocks = 450;
const isEio = (error: unknown) => error instanceof FsError && error.code === "EIO";

function open(bytes: Buffer): StoredFile {
  return openSealedFile(MemoryBackingFile.of(bytes), fileId, keys.of, layout, { clean: true, events: () => {} });
}

/** A file of several map pages, one of which is damaged: not the first, so that others come before it. */
function withDamagedPage(): { readonly bytes: Buffer; readonly firstLost: number } {
  const backing = new MemoryBackingFile();
  const file = createSealedFile(backing, fileId, keys, layout, () => {});
  file.write(0, contentOf());
  file.commit(true);
  file.close();
  const whole = backing.content();
  for (let at = slotsBegin + 100; at < whole.length; at += strideBytes) {
    const bytes = Buffer.from(whole);
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    const [finding = ""] = open(bytes).check();
    const [, page] = /^page (\d+) of level 1/.exec(finding) ?? [];
    if (page === "1") return { bytes, firstLost: Math.floor(4096 / 28) };
  }
  throw new Error("no page of the map was found");
}

function contentOf(): Buffer {
  const bytes = Buffer.alloc(blocks * 4096);
  for (let block = 0; block < blocks; block += 1) bytes.fill(1 + (block % 250), block * 4096, (block + 1) * 4096);
  return bytes;
}

/** What can still be read is as it was. */
function isUntouched(file: StoredFile, firstLost: number): void {
  equal(file.size, blocks * 4096);
  const before = Buffer.alloc(firstLost * 4096);
  file.read(0, before);
  ok(before.equals(contentOf().subarray(0, before.length)));
  throws(() => file.read(firstLost * 4096, Buffer.alloc(4096)), isEio);
}

test("a file that can't be cut for a damaged page of its map is what it was before", () => {
  const { bytes, firstLost } = withDamagedPage();
  for (const size of [1, 5000, 10 * 4096, 100 * 4096 + 7]) {
    const file = open(bytes);
    throws(() => file.truncate(size), isEio);
    isUntouched(file, firstLost);
  }
});

test("a range that can't be punched for a damaged page is what it was before", () => {
  const { bytes, firstLost } = withDamagedPage();
  for (const [at, length] of [
    [0, blocks * 4096],
    [100, 300 * 4096],
    [140 * 4096, 10 * 4096],
  ] as const) {
    const file = open(bytes);
    throws(() => file.punch(at, length), isEio);
    isUntouched(file, firstLost);
  }
});

test("a truncation that fails does not drop what was written and not committed", () => {
  const { bytes } = withDamagedPage();
  const file = open(bytes);
  file.write(20 * 4096 + 10, Buffer.from("not committed yet"));
  throws(() => file.truncate(5 * 4096), isEio);
  const read = Buffer.alloc(17);
  file.read(20 * 4096 + 10, read);
  equal(read.toString(), "not committed yet");
});

test("a block that is damaged itself keeps a file from being cut within it, and nothing else is changed", () => {
  const backing = new MemoryBackingFile();
  const file = createSealedFile(backing, fileId, keys, layout, () => {});
  file.write(0, contentOf().subarray(0, 20 * 4096));
  file.commit(true);
  file.close();
  const bytes = backing.content();
  const place = slotsBegin + 9 * strideBytes + 100;
  bytes.writeUInt8(bytes.readUInt8(place) ^ 1, place);
  const damaged = open(bytes);
  throws(() => damaged.truncate(9 * 4096 + 50), isEio);
  equal(damaged.size, 20 * 4096);
  throws(() => damaged.punch(2 * 4096, 7 * 4096 + 50), isEio);
  const last = Buffer.alloc(4096);
  damaged.read(3 * 4096, last);
  ok(last.equals(contentOf().subarray(3 * 4096, 4 * 4096)));
  damaged.truncate(9 * 4096);
  equal(damaged.size, 9 * 4096);
});

test("a file with a damaged map can be cut to nothing, and is whole and written in the same room from then on", () => {
  const { bytes } = withDamagedPage();
  const backing = MemoryBackingFile.of(bytes);
  const file = openSealedFile(backing, fileId, keys.of, layout, { clean: true, events: () => {} });
  file.truncate(0);
  deepEqual(file.check(), []);
  file.commit(true);
  ok(backing.size() < 100_000, `${backing.size()} bytes are kept for nothing`);
  file.write(0, contentOf());
  file.commit(true);
  deepEqual(file.check(), []);
  file.close();
  const again = open(backing.content());
  const read = Buffer.alloc(blocks * 4096);
  again.read(0, read);
  ok(read.equals(contentOf()));
});

test("a punched run is given back once, with the units it shares with neighbours that were free before", () => {
  const backing = new MemoryBackingFile();
  const file = createSealedFile(backing, fileId, keys, layout, () => {});
  file.write(0, contentOf());
  file.commit(true);
  file.punch(100 * 4096, 100 * 4096);
  file.commit(true);
  const before = punches(backing).length;
  file.punch(200 * 4096, 100 * 4096);
  file.commit(true);
  const lengths = punches(backing)
    .slice(before)
    .map(({ length }) => length);
  const all = lengths.reduce((sum, length) => sum + length, 0);
  ok(Math.max(...lengths) >= 100 * 4096 && all < 110 * 4096, `${lengths}: what was punched before is left alone`);
});

function punches(backing: MemoryBackingFile): readonly { readonly length: number }[] {
  return backing.changes.filter((change) => change.kind === "punch");
}
