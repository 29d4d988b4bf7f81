import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { describe, test } from "node:test";
import { FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import {
  createSealedFile,
  type OpenOptions,
  openSealedFile,
} from "../../../../../src/volume/sealfs/store/create-and-open.ts";
import { headBytes, slotsBegin } from "../../../../../src/volume/sealfs/store/geometry.ts";
import {
  type FileHealth,
  type HeadFate,
  type HeadStamp,
  unwatchedHealth,
} from "../../../../../src/volume/sealfs/store/head-fate.ts";
import type { FileLayout, StoredFile } from "../../../../../src/volume/sealfs/stored-file.ts";
import { MemoryBackingFile } from "../../../../sealfs/memory-backing.ts";
import { TestKeys } from "../../../../sealfs/test-keys.ts";

const fileId = Buffer.from("a file's own id!");
const layout: FileLayout = { blockBytes: 4096, integrity: "tree" };
const keys = new TestKeys();
const strideBytes = 4096 + 32;
const isEio = (error: unknown) => error instanceof FsError && error.code === "EIO";
const stampOf = (session: number) => (): HeadStamp => ({ session, round: 0, tableSequence: 0 });

function made(session = 1): { readonly backing: MemoryBackingFile; readonly file: StoredFile } {
  const backing = new MemoryBackingFile();
  return { backing, file: createSealedFile(backing, fileId, keys, layout, () => {}, { stamp: stampOf(session) }) };
}

interface Opened {
  readonly file: StoredFile;
  readonly backing: MemoryBackingFile;
  readonly events: readonly string[];
}

/** As for serving, with what may have become of every head. */
function open(bytes: Buffer, fate: HeadFate, change: Partial<OpenOptions> = {}): Opened {
  const events: string[] = [];
  const backing = MemoryBackingFile.of(bytes);
  const file = openSealedFile(backing, fileId, keys.of, layout, {
    clean: () => fate,
    events: (_id, what) => void events.push(what),
    keysWhenBlank: keys,
    stamp: stampOf(2),
    commitsRecovered: true,
    ...change,
  });
  return { file, backing, events };
}

/** The blocks that can be read, as one letter each, "?" for those that answer EIO. */
function blocksOf(file: StoredFile): string {
  const block = Buffer.alloc(4096);
  let read = "";
  for (let at = 0; at < file.size; at += block.length)
    try {
      file.read(at, block);
      ok(block.every((byte) => byte === block[0]));
      read += String.fromCharCode(block.readUInt8(0));
    } catch (error) {
      ok(isEio(error));
      read += "?";
    }
  return read;
}

function letters(text: string): Buffer {
  return Buffer.concat(Array.from(text, (letter) => Buffer.alloc(4096, letter)));
}

/** Fills a part of each slot that `wanted` chooses. */
function damaged(bytes: Buffer, how: "zero" | "flip", wanted: (slot: number) => boolean): Buffer {
  const changed = Buffer.from(bytes);
  for (let slot = 1; slotsBegin + slot * strideBytes <= bytes.length; slot += 1) {
    const at = slotsBegin + (slot - 1) * strideBytes + 1024;
    if (!wanted(slot)) continue;
    if (how === "zero") changed.fill(0, at, at + 1024);
    else changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
  }
  return changed;
}

describe("after a crash", () => {
  test("one sector of zeros in a file that was synced once is EIO for its block, and nothing else is lost", () => {
    const { backing, file } = made();
    file.write(0, letters("abcdefgh"));
    file.commit(true);
    const bytes = damaged(backing.content(), "zero", (slot) => slot === 3);
    for (const fate of ["unproven", "synced", "killed"] as const) {
      const left = open(bytes, fate);
      equal(blocksOf(left.file), "ab?defgh", fate);
      ok(left.events.length > 0);
      deepEqual(left.backing.content().subarray(slotsBegin), bytes.subarray(slotsBegin));
    }
  });

  test("a head that is zeros beside one with a changed bit is EIO, and nothing is written", () => {
    const { backing, file } = made();
    file.write(0, letters("abcdefgh"));
    file.commit(true);
    for (const [blank, changed] of [
      [0, headBytes],
      [headBytes, 0],
    ] as const) {
      const bytes = backing.content().fill(0, blank, blank + headBytes);
      bytes.writeUInt8(bytes.readUInt8(changed + 100) ^ 1, changed + 100);
      const left = MemoryBackingFile.of(bytes);
      for (const fate of ["unproven", "killed"] as const)
        throws(
          () =>
            openSealedFile(left, fileId, keys.of, layout, {
              clean: () => fate,
              events: () => {},
              keysWhenBlank: keys,
              commitsRecovered: true,
            }),
          isEio,
        );
      deepEqual(left.changes, []);
    }
  });

  test("a changed bit in what the newest head brought is EIO for its block where no power was lost", () => {
    const { backing, file } = made();
    file.write(0, letters("aaaa"));
    file.commit(true);
    file.write(0, letters("bbbb"));
    file.commit(true);
    const bytes = damaged(backing.content(), "flip", (slot) => slot === 6);
    equal(blocksOf(open(bytes, "killed").file), "b?bb");
    equal(blocksOf(open(bytes, "synced").file), "b?bb");
    equal(blocksOf(open(bytes, "unproven").file), "aaaa");
  });

  test("a damaged head is EIO where no power was lost, and half of the first two is not damage", () => {
    const { backing, file } = made();
    file.write(0, letters("a"));
    file.commit(true);
    file.write(0, letters("b"));
    file.close();
    backing.isClosed = false;
    const bytes = backing.content();
    for (const place of [0, headBytes]) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(place + 100) ^ 1, place + 100);
      throws(() => open(changed, "killed"), isEio);
    }
    const { backing: fresh, file: first } = made();
    first.write(0, letters("a"));
    first.close();
    fresh.isClosed = false;
    equal(blocksOf(open(fresh.content().fill(0, headBytes, slotsBegin), "killed").file), "a");
  });

  test("the head before the newest needs no proof when the newest names it as durable", () => {
    const { backing, file } = made();
    file.write(0, letters("aaaa"));
    file.commit(true);
    file.write(0, letters("bb"));
    file.close();
    backing.isClosed = false;
    const lost = damaged(backing.content(), "zero", (slot) => slot === 2 || slot >= 5);
    const left = open(lost, "unproven");
    equal(blocksOf(left.file), "a?aa");
  });

  test("a head of a session that the key table does not know is EIO, and told", () => {
    const { backing, file } = made();
    file.write(0, letters("a"));
    file.commit(true);
    const events: string[] = [];
    throws(() => open(backing.content(), "foreign", { events: (_id, what) => void events.push(what) }), isEio);
    ok(events.some((what) => what.includes("an older key table")));
  });

  test("a file that never had a head, or whose first two were torn, is empty if it may be, and else EIO", () => {
    const { backing, file } = made();
    file.write(0, letters("abc"));
    file.commit(false);
    const bytes = backing.content();
    const blank = Buffer.from(bytes).fill(0, 0, slotsBegin);
    const torn = Buffer.from(bytes);
    for (const place of [0, headBytes]) torn.fill(0, place, place + 512);
    for (const left of [blank, torn, Buffer.alloc(0)]) {
      const opened = open(left, "unproven");
      equal(opened.file.size, 0);
      opened.file.write(0, letters("new"));
      opened.file.commit(true);
      equal(blocksOf(open(opened.backing.content(), "closed").file), "new");
      const looking = MemoryBackingFile.of(left);
      const options = { clean: () => "unproven" as const, events: () => {} };
      throws(() => openSealedFile(looking, fileId, keys.of, layout, options), isEio);
      throws(() => open(left, "unproven", { clean: true }), isEio);
      deepEqual(looking.changes, []);
    }
  });

  test("what was never synced and is partly lost is EIO block by block where nothing may be empty", () => {
    const { backing, file } = made();
    file.write(0, letters("abc"));
    file.commit(false);
    const bytes = damaged(backing.content(), "zero", (slot) => slot === 2);
    const looking = MemoryBackingFile.of(bytes);
    const options = { clean: () => "unproven" as const, events: () => {} };
    equal(blocksOf(openSealedFile(looking, fileId, keys.of, layout, options)), "a?c");
    deepEqual(looking.changes, []);
  });

  test("a file that was recovered has a head of the present session at once, and is whole to later ones", () => {
    const { backing, file } = made();
    file.write(0, letters("good"));
    file.commit(true);
    file.write(0, letters("torn"));
    file.close();
    backing.isClosed = false;
    const bytes = backing.content();
    const newest = bytes.readUIntBE(50, 6) > bytes.readUIntBE(headBytes + 50, 6) ? 0 : headBytes;
    bytes.writeUInt8(bytes.readUInt8(newest + 100) ^ 1, newest + 100);
    const left = open(bytes, "unproven");
    equal(blocksOf(left.file), "good");
    ok(left.backing.changes.length > 0);
    const again = open(left.backing.content(), "closed", {
      clean: ({ session }) => (session === 2 ? "closed" : "unproven"),
    });
    equal(blocksOf(again.file), "good");
    deepEqual(again.events, []);
    deepEqual(again.backing.changes, []);
  });

  test("no head is written where a disk is full, and the file is served all the same", () => {
    const { backing, file } = made();
    file.write(0, letters("good"));
    file.commit(true);
    const full = MemoryBackingFile.of(backing.content());
    full.writesLeft = 0;
    const options = { clean: () => "unproven" as const, events: () => {}, commitsRecovered: true };
    equal(blocksOf(openSealedFile(full, fileId, keys.of, layout, options)), "good");
  });
});

test("a sync that failed is remembered when the file is opened again in the session", () => {
  const { backing, file } = made();
  file.write(0, letters("old"));
  file.commit(true);
  const health: FileHealth = unwatchedHealth();
  const failing = MemoryBackingFile.of(backing.content());
  const options = { clean: () => "current" as const, events: () => {}, health };
  const opened = openSealedFile(failing, fileId, keys.of, layout, options);
  opened.write(0, letters("new"));
  failing.syncsLeft = 0;
  throws(() => opened.commit(true), isEio);
  opened.close();
  failing.isClosed = false;
  failing.syncsLeft = Number.POSITIVE_INFINITY;
  const again = openSealedFile(failing, fileId, keys.of, layout, options);
  throws(() => again.write(0, letters("more")), isEio);
});

test("what a sync of the whole store made durable is named as such by the next head", () => {
  const { backing, file } = made();
  file.write(0, letters("abcd"));
  file.commit(false);
  file.markDurable?.();
  file.write(0, letters("e"));
  file.commit(false);
  const lost = damaged(backing.content(), "zero", (slot) => slot === 5);
  equal(blocksOf(open(lost, "unproven").file), "abcd");
});
