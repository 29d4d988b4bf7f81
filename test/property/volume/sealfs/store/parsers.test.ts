import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import { createSealedFile, openSealedFile } from "../../../../../src/volume/sealfs/store/create-and-open.ts";
import { Geometry, headBytes } from "../../../../../src/volume/sealfs/store/geometry.ts";
import { decodeHead, encodeHead, type Head } from "../../../../../src/volume/sealfs/store/head.ts";
import { parsePrelude, sealHead } from "../../../../../src/volume/sealfs/store/head-seal.ts";
import type { FileLayout } from "../../../../../src/volume/sealfs/stored-file.ts";
import { scaled, seed } from "../../../../run-settings.ts";
import { MemoryBackingFile } from "../../../../sealfs/memory-backing.ts";
import { TestKeys } from "../../../../sealfs/test-keys.ts";

const fileId = Buffer.from("a file's own id!");
const layout: FileLayout = { blockBytes: 4096, integrity: "tree" };
const geometry = new Geometry(layout);
const options = { seed, numRuns: scaled(4000) };

const small = fc.integer({ min: 0, max: 2 ** 31 });
const bytesOf = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => Buffer.from(bytes));

const heads: fc.Arbitrary<Head> = fc
  .record({
    sequence: fc.integer({ min: 1, max: 2 ** 47 }),
    durable: fc.boolean(),
    session: small,
    round: small,
    tableSequence: small,
    durableAtMs: small,
    size: fc.maxSafeInteger().map((size) => Math.abs(size) % 2 ** 52),
    height: fc.integer({ min: 0, max: 8 }),
    blocks: small,
    pages: small,
    birth: fc.integer({ min: 1, max: 2 ** 46 }),
    epochs: fc.uniqueArray(
      fc.record({
        index: fc.integer({ min: 0, max: 255 }),
        generation: small,
        id: bytesOf(16),
        slots: small,
        seals: small,
      }),
      { minLength: 1, maxLength: 16, selector: (epoch) => epoch.index },
    ),
    root: fc.integer({ min: 0, max: geometry.rootEntries }).chain((entries) => bytesOf(entries * geometry.entryBytes)),
  })
  .map((head) => ({
    ...head,
    baseSequence: head.sequence - 1,
    highWater: head.blocks + head.pages + 7,
    baseBirth: head.birth - 1,
    fresh: Math.floor(head.blocks / 2),
    epoch: head.epochs[0]?.index ?? 0,
    epochs: head.epochs.map((epoch) => ({ ...epoch })),
  }));

test("a head is read as it was written", () => {
  fc.assert(
    fc.property(heads, (head) => {
      const body = encodeHead(fileId, head, geometry, Buffer.alloc(headBytes));
      deepEqual(decodeHead(fileId, body, geometry), head);
      equal(decodeHead(Buffer.alloc(16, 1), body, geometry), undefined);
      equal(decodeHead(fileId, body.subarray(0, -1), geometry), undefined);
      equal(decodeHead(fileId, Buffer.concat([body, Buffer.alloc(1)]), geometry), undefined);
    }),
    { ...options, numRuns: scaled(600) },
  );
});

test("the largest head fits its place", () => {
  for (const integrity of ["blocks", "tree"] as const) {
    const largest = new Geometry({ blockBytes: 4096, integrity });
    const epochs = Array.from({ length: 16 }, (_one, index) => {
      return { index, generation: 1, id: Buffer.alloc(16), slots: 1, seals: 1 };
    });
    const root = Buffer.alloc(largest.rootEntries * largest.entryBytes, 1);
    const some: Head = {
      ...{ sequence: 2, durable: true, baseSequence: 1, session: 0, round: 0, tableSequence: 0 },
      ...{ durableAtMs: 0, size: 1, height: 1, highWater: 9 },
      ...{ blocks: 1, pages: 1, birth: 3, baseBirth: 2, fresh: 1, epoch: 0, epochs, root },
    };
    const body = encodeHead(fileId, some, largest, Buffer.alloc(headBytes));
    ok(64 + 28 + body.length <= headBytes, `${body.length} bytes`);
    const place = Buffer.alloc(headBytes);
    const [epoch] = epochs;
    ok(epoch !== undefined);
    using cipher = new TestKeys().fileCipher(1, fileId, epoch.id);
    const fileLayout = { blockBytes: 4096, integrity };
    const end = sealHead(place, 0, fileLayout, fileId, Buffer.alloc(16), epoch, 2, body, cipher);
    ok(typeof parsePrelude(place.subarray(0, end), 0, fileLayout) === "object");
    equal(parsePrelude(place.subarray(0, end - 1), 0, fileLayout), "damaged");
    equal(parsePrelude(place.subarray(0, end), 1, fileLayout), "damaged");
  }
});

test("any bytes in a head's sealed part are read or refused, and nothing else happens", () => {
  const noise = fc.uint8Array({ maxLength: 5000 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(noise, (bytes) => {
      equal(decodeHead(fileId, bytes, geometry), undefined);
      equal(decodeHead(fileId, Buffer.concat([fileId, bytes]), geometry)?.epochs.length === 0, false);
    }),
    options,
  );
});

test("a head with changed bytes is read as one within its limits, or refused", () => {
  fc.assert(
    fc.property(heads, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 }), (head, changes) => {
      const body = encodeHead(fileId, head, geometry, Buffer.alloc(headBytes));
      for (const [at, byte] of changes) body.writeUInt8(byte, at % body.length);
      const read = decodeHead(fileId, body, geometry);
      if (read === undefined) return;
      ok(read.size <= 2 ** 52 && read.blocks + read.pages <= read.highWater && read.height <= 8);
      ok(read.epochs.length <= 16 && read.root.length <= geometry.rootEntries * geometry.entryBytes);
    }),
    options,
  );
});

test("any backing file is opened or refused with EIO or ENOKEY", () => {
  const backing = new MemoryBackingFile();
  const file = createSealedFile(backing, fileId, new TestKeys(), layout, () => {});
  file.write(0, Buffer.alloc(9000, 1));
  file.write(2 ** 32, Buffer.alloc(9000, 1));
  file.commit(true);
  file.close();
  const whole = backing.content();
  const change = fc.tuple(fc.nat(whole.length - 1), fc.uint8Array({ minLength: 1, maxLength: 200 }));
  fc.assert(
    fc.property(fc.array(change, { maxLength: 5 }), fc.nat(whole.length), fc.boolean(), (changes, size, clean) => {
      const bytes = Buffer.from(whole.subarray(0, size));
      for (const [at, replaced] of changes) bytes.set(replaced.subarray(0, Math.max(0, size - at)), Math.min(at, size));
      try {
        const events = () => {};
        const keysOf = new TestKeys().of;
        const opened = openSealedFile(MemoryBackingFile.of(bytes), fileId, keysOf, layout, { clean, events });
        opened.check();
        opened.read(0, Buffer.alloc(10_000));
      } catch (error) {
        ok(error instanceof FsError && (error.code === "EIO" || error.code === "ENOKEY"), String(error));
      }
    }),
    { ...options, numRuns: scaled(2000) },
  );
});
