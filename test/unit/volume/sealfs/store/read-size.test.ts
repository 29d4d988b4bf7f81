import { deepEqual, equal } from "node:assert/strict";
import { describe, test } from "node:test";
import { createSealedFile, openSealedFile } from "../../../../../src/volume/sealfs/store/create-and-open.ts";
import { headBytes } from "../../../../../src/volume/sealfs/store/geometry.ts";
import type { HeadFate } from "../../../../../src/volume/sealfs/store/head-fate.ts";
import { readSealedSize } from "../../../../../src/volume/sealfs/store/read-size.ts";
import type { FileLayout } from "../../../../../src/volume/sealfs/stored-file.ts";
import { MemoryBackingFile } from "../../../../sealfs/memory-backing.ts";
import { TestKeys } from "../../../../sealfs/test-keys.ts";

const fileId = Buffer.from("a file's own id!");
const otherId = Buffer.from("another file's.!");
const layout: FileLayout = { blockBytes: 4096, integrity: "tree" };

/** Closed, after two commits: of 10 bytes, and of so many. */
function sealed(size: number, keys = new TestKeys()): Buffer {
  const backing = new MemoryBackingFile();
  const file = createSealedFile(backing, fileId, keys, layout, () => {});
  file.write(0, Buffer.alloc(10, 1));
  file.commit(true);
  if (size > 10) file.write(size - 10, Buffer.alloc(10, 2));
  file.commit(true);
  file.close();
  return backing.content();
}

function sizeOf(bytes: Buffer, fate: HeadFate = "closed", id = fileId, keys = new TestKeys()) {
  return readSealedSize(MemoryBackingFile.of(bytes), id, keys.of, layout, () => fate);
}

describe("the size of a sealed file that is not open", () => {
  test("is what an opening says, with and without holes, whether closed before or in this session", () => {
    for (const size of [10, 4096, 5000, 1_000_000, 50_000_000]) {
      const bytes = sealed(size);
      const file = openSealedFile(MemoryBackingFile.of(bytes), fileId, new TestKeys().of, layout, {
        clean: true,
        events: () => {},
      });
      const expected = { bytes: file.size, allocatedBytes: file.allocatedBytes };
      equal(expected.bytes, size);
      deepEqual(sizeOf(bytes), expected);
      deepEqual(sizeOf(bytes, "current"), expected);
    }
  });

  test("is not told from an older head when any bit of the newer one was changed, nor the other way round", () => {
    const bytes = sealed(5000);
    for (const place of [0, headBytes])
      for (let bit = 0; bit < 8 * 300; bit += 1) {
        const at = place + (bit >> 3);
        const changed = Buffer.from(bytes);
        changed.writeUInt8(changed.readUInt8(at) ^ (1 << (bit & 7)), at);
        if (bytes.readUInt8(at) === 0 && bytes.subarray(at, place + headBytes).every((byte) => byte === 0)) break;
        equal(sizeOf(changed), undefined, `bit ${bit} of the head at ${place}`);
      }
  });

  test("is not told when a place for a head is blank, cut off, or the file is empty", () => {
    const bytes = sealed(5000);
    for (const place of [0, headBytes]) equal(sizeOf(Buffer.from(bytes).fill(0, place, place + headBytes)), undefined);
    for (const length of [0, 1, 100, headBytes, headBytes + 64]) equal(sizeOf(bytes.subarray(0, length)), undefined);
  });

  test("is not told of heads that changed places, or of one that is there twice", () => {
    const bytes = sealed(5000);
    const [first, second] = [bytes.subarray(0, headBytes), bytes.subarray(headBytes, 2 * headBytes)];
    const rest = bytes.subarray(2 * headBytes);
    for (const heads of [
      [second, first],
      [first, first],
      [second, second],
    ])
      equal(sizeOf(Buffer.concat([...heads, rest])), undefined);
  });

  test("is not told of another file, another layout, or without the key", () => {
    const bytes = sealed(5000);
    equal(sizeOf(bytes, "closed", otherId), undefined);
    const blocks = { ...layout, integrity: "blocks" } as const;
    equal(
      readSealedSize(MemoryBackingFile.of(bytes), fileId, new TestKeys().of, blocks, () => "closed"),
      undefined,
    );
    const keys = new TestKeys();
    keys.destroyed.add(1);
    equal(sizeOf(bytes, "closed", fileId, keys), undefined);
  });

  test("is not told of a session in which something may have been lost, or that the key table does not know", () => {
    const bytes = sealed(5000);
    for (const fate of ["killed", "synced", "unproven", "foreign"] as const) equal(sizeOf(bytes, fate), undefined);
  });
});
