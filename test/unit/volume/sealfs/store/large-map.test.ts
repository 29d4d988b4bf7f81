import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { createSealedFile, openSealedFile } from "../../../../../src/volume/sealfs/store/create-and-open.ts";
import { mostPagesKept } from "../../../../../src/volume/sealfs/store/map-pages.ts";
import type { FileLayout, StoredFile } from "../../../../../src/volume/sealfs/stored-file.ts";
import { MemoryBackingFile } from "../../../../sealfs/memory-backing.ts";
import { TestKeys } from "../../../../sealfs/test-keys.ts";

const fileId = Buffer.from("a file's own id!");
const keys = new TestKeys();
const pageCount = 3 * mostPagesKept;

/** Blocks so far from each other that each lies in a page of the map of its own. */
const strideBytes = 350 * 4096;

for (const integrity of ["blocks", "tree"] as const) {
  const layout: FileLayout = { blockBytes: 4096, integrity };

  test(`a map of more pages than are kept in memory holds each block, with ${integrity}`, () => {
    const backing = new MemoryBackingFile();
    const file = createSealedFile(backing, fileId, keys, layout, () => {});
    for (let page = 0; page < pageCount; page += 1) file.write(place(page), blockOf(page));
    for (let page = 0; page < pageCount; page += 7) file.write(place(page) + 5, Buffer.from("again"));
    verify(file);
    file.commit(true);
    deepEqual(file.check(), []);
    file.close();
    const again = openSealedFile(backing.copy(), fileId, keys.of, layout, { clean: false, events: () => {} });
    verify(again);
    equal(again.seekData(place(5) + 4096), place(6));
    again.punch(place(10), place(pageCount - 10) - place(10));
    again.commit(true);
    equal(again.seekData(place(9) + 4096), place(pageCount - 10));
    equal(again.allocatedBytes, 20 * 4096);
    deepEqual(again.check(), []);
    again.truncate(0);
    again.commit(true);
    deepEqual([again.allocatedBytes, again.check().length], [0, 0]);
  });
}

/** Some blocks are far up, so that the map has more levels. */
function place(page: number): number {
  return page * strideBytes + (page > pageCount / 2 ? 2 ** 44 : 0);
}

function blockOf(page: number): Buffer {
  const bytes = Buffer.alloc(4096, page & 255);
  bytes.writeUInt32BE(page, 100);
  return bytes;
}

function verify(file: StoredFile): void {
  const bytes = Buffer.alloc(4096);
  for (let page = 0; page < pageCount; page += 1) {
    const expected = blockOf(page);
    if (page % 7 === 0) expected.write("again", 5, "latin1");
    equal(file.read(place(page), bytes), 4096);
    ok(bytes.equals(expected), `the block of page ${page}`);
  }
}
