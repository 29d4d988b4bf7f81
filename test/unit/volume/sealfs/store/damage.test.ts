import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { describe, test } from "node:test";
import { FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import { createSealedFile, openSealedFile } from "../../../../../src/volume/sealfs/store/create-and-open.ts";
import { headBytes, slotsBegin } from "../../../../../src/volume/sealfs/store/geometry.ts";
import type { FileLayout, StoredFile } from "../../../../../src/volume/sealfs/stored-file.ts";
import { MemoryBackingFile } from "../../../../sealfs/memory-backing.ts";
import { TestKeys } from "../../../../sealfs/test-keys.ts";

const fileId = Buffer.from("a file's own id!");
const otherId = Buffer.from("another file's.!");
const layouts = (["blocks", "tree"] as const).map((integrity): FileLayout => ({ blockBytes: 4096, integrity }));
const strideBytes = 4096 + 32;
const isEio = (error: unknown) => error instanceof FsError && error.code === "EIO";
const isNoKey = (error: unknown) => error instanceof FsError && error.code === "ENOKEY";

/** Content of whole blocks and a short one, each block unlike the others. */
function contentOf(blocks: number, salt = 0): Buffer {
  const bytes = Buffer.alloc(blocks * 4096 + 100);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = (at * 7 + (at >> 12) * 13 + salt) & 255;
  return bytes;
}

/** A closed file that was committed durably twice. */
function sealed(content: Buffer, layout: FileLayout, keys = new TestKeys(), id = fileId): Buffer {
  const backing = new MemoryBackingFile();
  const file = createSealedFile(backing, id, keys, layout, () => {});
  file.write(0, content.subarray(0, 10));
  file.commit(true);
  file.write(0, content);
  file.commit(true);
  file.close();
  return backing.content();
}

/** Reads all of a file; blocks that are refused come as undefined. Never content that was not written. */
function open(bytes: Buffer, layout: FileLayout, clean: boolean, keys = new TestKeys()): [StoredFile, string[]] {
  const events: string[] = [];
  const report = (_id: Buffer, what: string) => void events.push(what);
  return [openSealedFile(MemoryBackingFile.of(bytes), fileId, keys.of, layout, { clean, events: report }), events];
}

function readAll(file: StoredFile): Buffer {
  const bytes = Buffer.alloc(file.size);
  equal(file.read(0, bytes), bytes.length);
  return bytes;
}

/** Opens and reads: the right content, an older committed one with an event, or EIO with an event. */
function neverWrong(bytes: Buffer, layout: FileLayout, clean: boolean, states: readonly Buffer[], what: string): void {
  const events: string[] = [];
  try {
    const report = (_id: Buffer, found: string) => void events.push(found);
    const file = openSealedFile(MemoryBackingFile.of(bytes), fileId, new TestKeys().of, layout, {
      clean,
      events: report,
    });
    const got = readAll(file);
    const state = states.findIndex((content) => content.equals(got));
    ok(state >= 0, `${what}: content that was never committed`);
    if (state > 0) ok(!clean && events.length > 0, `${what}: an older state without being told`);
  } catch (error) {
    if (isNoKey(error)) return; // the zone's id or generation in a head's clear part was changed
    ok(isEio(error), `${what}: ${error}`);
    ok(events.length > 0, `${what}: refused without an event`);
  }
}

for (const layout of layouts)
  describe(`a sealed file with ${layout.integrity}`, () => {
    const content = contentOf(3);
    const older = content.subarray(0, 10);
    const whole = sealed(content, layout);

    for (const clean of [true, false])
      test(`is never read wrong with any one bit changed, ${clean ? "clean" : "after a crash"}`, () => {
        for (let at = 0; at < whole.length; at += at < 5000 || at % strideBytes < 40 ? 1 : 97) {
          const changed = Buffer.from(whole);
          changed.writeUInt8(whole.readUInt8(at) ^ (1 << (at & 7)), at);
          neverWrong(changed, layout, clean, [content, older], `bit ${at & 7} of byte ${at}`);
        }
      });

    test("refuses a changed head when it was closed cleanly", () => {
      for (const at of [0, 9, 56, 70, 100, headBytes, headBytes + 80]) {
        const changed = Buffer.from(whole);
        changed.writeUInt8(whole.readUInt8(at) ^ 1, at);
        throws(() => open(changed, layout, true), isEio, `byte ${at}`);
      }
    });

    test("refuses a head that was blanked when it was closed cleanly", () => {
      for (const place of [0, headBytes]) {
        const changed = Buffer.from(whole).fill(0, place, place + headBytes);
        throws(() => open(changed, layout, true), isEio);
      }
    });

    test("refuses a file with both heads damaged, or both blank, or nothing at all", () => {
      const damaged = Buffer.from(whole);
      damaged[100] = (damaged[100] as number) ^ 1;
      damaged[headBytes + 100] = (damaged[headBytes + 100] as number) ^ 1;
      for (const bytes of [damaged, Buffer.from(whole).fill(0, 0, slotsBegin), Buffer.alloc(0)])
        for (const clean of [true, false]) throws(() => open(bytes, layout, clean), isEio);
    });

    test("refuses a file that is cut short anywhere", () => {
      for (let size = 0; size < whole.length; size += 211)
        for (const clean of [true, false])
          neverWrong(whole.subarray(0, size), layout, clean, [content, older], `cut at ${size}`);
    });

    test("refuses a slot that was punched, and reads the others", () => {
      const slots = slotsInUse(whole);
      for (const slot of slots) {
        const at = slotsBegin + (slot - 1) * strideBytes;
        const [file, events] = open(
          Buffer.from(whole).fill(0, at, Math.min(whole.length, at + strideBytes)),
          layout,
          true,
        );
        let refused = 0;
        for (let block = 0; block < 4; block += 1)
          try {
            const bytes = Buffer.alloc(4096);
            const length = file.read(block * 4096, bytes);
            ok(bytes.subarray(0, length).equals(content.subarray(block * 4096, block * 4096 + length)));
          } catch (error) {
            ok(isEio(error));
            refused += 1;
          }
        equal(refused, 1);
        equal(file.check().length, 1);
        ok(events.length > 0);
      }
      equal(slots.length, 4);
    });

    test("refuses two slots in each other's place", () => {
      const [one = 0, other = 0] = slotsInUse(whole);
      const swapped = Buffer.from(whole);
      const place = (slot: number) => slotsBegin + (slot - 1) * strideBytes;
      whole.copy(swapped, place(one), place(other), place(other) + strideBytes);
      whole.copy(swapped, place(other), place(one), place(one) + strideBytes);
      throws(() => readAll(open(swapped, layout, true)[0]), isEio);
    });

    test("refuses another file's head, and another file's blocks under its own head", () => {
      const foreign = sealed(contentOf(3, 99), layout, new TestKeys(), otherId);
      throws(() => open(foreign, layout, true), isEio);
      throws(() => open(foreign, layout, false), isEio);
      const mixed = Buffer.concat([whole.subarray(0, slotsBegin), foreign.subarray(slotsBegin)]);
      throws(() => readAll(open(mixed, layout, true)[0]), isEio);
    });

    test("refuses an older version of a block, whether it lay in the same slot or in another", () => {
      const backing = new MemoryBackingFile();
      const file = createSealedFile(backing, fileId, new TestKeys(), layout, () => {});
      const versions: Buffer[] = [];
      for (let version = 0; version < 6; version += 1) {
        file.write(0, contentOf(2, version));
        file.commit(true);
        versions.push(backing.content());
      }
      file.close();
      const last = backing.content();
      for (const old of versions.slice(0, -1))
        for (const from of slotsInUse(old))
          for (const to of slotsInUse(last)) {
            const fromAt = slotsBegin + (from - 1) * strideBytes;
            const changed = Buffer.from(last);
            old.copy(changed, slotsBegin + (to - 1) * strideBytes, fromAt, fromAt + strideBytes);
            if (!changed.equals(last)) neverWrong(changed, layout, true, [contentOf(2, 5)], `slot ${from} into ${to}`);
          }
    });

    test("refuses an older head beside the last one's slots, clean or not, unless that state is still whole", () => {
      const backing = new MemoryBackingFile();
      const file = createSealedFile(backing, fileId, new TestKeys(), layout, () => {});
      const states: Buffer[] = [];
      const olds: Buffer[] = [];
      for (let version = 0; version < 5; version += 1) {
        file.write(0, contentOf(3, version));
        file.commit(true);
        states.unshift(contentOf(3, version));
        olds.push(backing.content());
      }
      file.close();
      const last = backing.content();
      for (const old of olds.slice(0, -2)) {
        const changed = Buffer.concat([old.subarray(0, slotsBegin), last.subarray(slotsBegin)]);
        for (const clean of [true, false])
          try {
            const got = readAll(open(changed, layout, clean)[0]);
            ok(
              states.some((state) => state.equals(got)),
              "content that was never committed",
            );
          } catch (error) {
            ok(isEio(error), String(error));
          }
      }
    });

    test("is refused under another zone's key, and another layout", () => {
      throws(() => open(whole, layout, true, new TestKeys("another secret")), isEio);
      throws(() => open(whole, layout, false, new TestKeys("another secret")), isEio);
      throws(() => open(whole, layout, true, new TestKeys("a zone's secret", Buffer.alloc(16, 1))), isNoKey);
      throws(() => open(whole, { ...layout, blockBytes: 8192 }, true), isEio);
      const integrity = layout.integrity === "tree" ? "blocks" : "tree";
      throws(() => open(whole, { ...layout, integrity }, true), isEio);
    });

    test("goes on from the older head after a crash, and says so", () => {
      const newest = whole.readUIntBE(50, 6) > whole.readUIntBE(headBytes + 50, 6) ? 0 : headBytes;
      const changed = Buffer.from(whole);
      changed[newest + 90] = (changed[newest + 90] as number) ^ 8;
      const [file, events] = open(changed, layout, false);
      deepEqual(readAll(file), Buffer.from(older));
      ok(events.length > 0);
    });
  });

/** Slots that are not free any more: those of whose ciphertext the file's blocks are, found by damaging each in turn. */
function slotsInUse(bytes: Buffer): number[] {
  const slots: number[] = [];
  for (const layout of layouts)
    for (let slot = 1; slotsBegin + (slot - 1) * strideBytes < bytes.length; slot += 1) {
      const changed = Buffer.from(bytes);
      const at = slotsBegin + (slot - 1) * strideBytes + 33;
      changed[at] = (changed[at] as number) ^ 1;
      try {
        if (open(changed, layout, true)[0].check().length > 0) slots.push(slot);
      } catch {
        // The file has the other layout.
      }
    }
  return slots;
}

for (const layout of layouts)
  test(`a head that was copied over the other is refused (${layout.integrity})`, () => {
    const bytes = sealed(contentOf(5), layout);
    for (const [from, to] of [
      [0, headBytes],
      [headBytes, 0],
    ] as const) {
      const copied = Buffer.from(bytes);
      copied.copy(copied, to, from, from + headBytes);
      throws(() => open(copied, layout, true), isEio);
    }
  });
