import assert from "node:assert/strict";
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { GuardFile } from "../../../../src/chain/node/guard-file.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-guard-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const genesis = Buffer.alloc(32, 5);
const nobody = 65_534;
let files = 0;

function newPath(): string {
  files += 1;
  return join(folder, `guard${files}`);
}

async function written(...heights: readonly number[]): Promise<string> {
  const path = newPath();
  GuardFile.create(path, genesis);
  await using guard = await GuardFile.open(path, genesis);
  for (const height of heights) await guard.append({ height, record: Buffer.from(`vote ${height}`) });
  return path;
}

function newCopy(path: string): string {
  const copy = newPath();
  copyFileSync(path, copy);
  return copy;
}

async function heightsOf(path: string): Promise<number[]> {
  await using guard = await GuardFile.open(path, genesis);
  return guard.entries.map(({ height }) => height);
}

describe("the double-sign guard's file", () => {
  it("gives back what was promised, after it was closed", async () => {
    const path = await written(1, 1, 2);
    await using guard = await GuardFile.open(path, genesis);
    assert.deepEqual(
      guard.entries.map(({ height, record }) => [height, record.toString()]),
      [
        [1, "vote 1"],
        [1, "vote 1"],
        [2, "vote 2"],
      ],
    );
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  it("keeps the order of entries that are added at once", async () => {
    const path = newPath();
    GuardFile.create(path, genesis);
    await using guard = await GuardFile.open(path, genesis);
    await Promise.all([3, 1, 2].map((height) => guard.append({ height, record: Buffer.from("x") })));
    assert.deepEqual(await heightsOf(path), [3, 1, 2]);
  });

  it("takes no entry that would make it longer than the next start takes", async () => {
    const path = newPath();
    GuardFile.create(path, genesis);
    const most = statSync(path).size + 2500;
    {
      await using guard = await GuardFile.open(path, genesis, { mostBytes: most });
      for (const view of [1, 2]) await guard.append({ height: 1, record: Buffer.alloc(1000, view) });
      await assert.rejects(guard.append({ height: 1, record: Buffer.alloc(1000, 3) }), {
        code: "GUARD_UNWRITABLE",
        message: /takes no more until a block closes its height/,
      });
      await assert.rejects(guard.append({ height: 1, record: Buffer.alloc(1) }), { code: "GUARD_UNWRITABLE" });
    }
    await using again = await GuardFile.open(path, genesis, { mostBytes: most });
    assert.equal(again.entries.length, 2);
  });

  it("is not made a second time over one that is there", async () => {
    const path = await written(1);
    assert.throws(() => GuardFile.create(path, genesis), { code: "GUARD_DAMAGED" });
    assert.deepEqual(await heightsOf(path), [1]);
  });

  it("that is missing fails closed", async () => {
    await assert.rejects(GuardFile.open(join(folder, "none"), genesis), { code: "GUARD_MISSING" });
  });

  it("of another chain or node key is refused", async () => {
    await assert.rejects(GuardFile.open(await written(1), Buffer.alloc(32, 6)), { code: "GENESIS_MISMATCH" });
  });

  it("cut within its last entry gives the entries before it, and goes on", async () => {
    const path = await written(1, 2);
    const whole = statSync(path).size;
    for (let cut = 1; cut < 4 + 8 + 8 + 6 + 32; cut += 7) {
      const copy = newPath();
      writeFileSync(copy, readFileSync(path));
      truncateSync(copy, whole - cut);
      {
        await using guard = await GuardFile.open(copy, genesis);
        assert.deepEqual(
          guard.entries.map(({ height }) => height),
          [1],
        );
        await guard.append({ height: 7, record: Buffer.from("after the crash") });
      }
      assert.deepEqual(await heightsOf(copy), [1, 7]);
    }
  });

  it("in which any one byte is changed is refused", async () => {
    const path = await written(1, 2);
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length; at++) {
      const copy = newPath();
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(at) ^ 0x40, at);
      writeFileSync(copy, changed);
      await assert.rejects(heightsOf(copy), { code: /^(GUARD_DAMAGED|GENESIS_MISMATCH)$/ }, `byte ${at}`);
      rmSync(copy);
    }
  });

  it("of which an entry was taken out is refused", async () => {
    const path = await written(1, 2, 3);
    const bytes = readFileSync(path);
    const entryBytes = 4 + 8 + 8 + 6 + 32;
    const first = bytes.length - 3 * entryBytes;
    writeFileSync(path, Buffer.concat([bytes.subarray(0, first), bytes.subarray(first + entryBytes)]));
    await assert.rejects(GuardFile.open(path, genesis), { code: "GUARD_DAMAGED" });
  });

  it("that is no guard's file is refused", async () => {
    for (const content of ["", "SRGUARD1", "x".repeat(500)]) {
      const path = newPath();
      writeFileSync(path, content);
      await assert.rejects(GuardFile.open(path, genesis), { code: "GUARD_DAMAGED" });
    }
  });

  it("forgets entries of stored heights only once it has grown, and keeps the others", async () => {
    const path = newPath();
    GuardFile.create(path, genesis);
    const mebibyte = Buffer.alloc(1 << 20, 1);
    {
      await using guard = await GuardFile.open(path, genesis);
      await guard.append({ height: 1, record: Buffer.from("small") });
      await guard.forget(1);
      assert.equal(guard.entries.length, 1);
      for (const height of [2, 3, 4, 5, 6]) await guard.append({ height, record: mebibyte });
      await guard.forget(5);
      await guard.append({ height: 7, record: Buffer.from("next") });
    }
    assert.deepEqual(await heightsOf(path), [6, 7]);
    assert.ok(statSync(path).size < 2 << 20);
  });

  it("knows up to which height it has forgotten what was promised", async () => {
    const path = newPath();
    GuardFile.create(path, genesis);
    {
      await using guard = await GuardFile.open(path, genesis, { compactAboveBytes: 0 });
      for (const height of [1, 2, 3, 4]) await guard.append({ height, record: Buffer.from("vote") });
      assert.equal(guard.closedHeight, 0);
      await guard.forget(3);
      assert.equal(guard.closedHeight, 3);
      await guard.forget(2);
    }
    await using guard = await GuardFile.open(path, genesis, { compactAboveBytes: 0 });
    assert.equal(guard.closedHeight, 3);
    await guard.forget(9, guard.written - 1);
    assert.deepEqual([guard.closedHeight, guard.entries.length], [3, 1]);
    await guard.forget(9);
    assert.equal(guard.closedHeight, 4);
  });

  it("remembers for good that it has had a counter, and all else with it", async () => {
    const path = await written(1, 2);
    {
      await using guard = await GuardFile.open(path, genesis, { compactAboveBytes: 0 });
      assert.equal(guard.isCounted, false);
      const { id, end } = guard;
      await guard.markCounted();
      await guard.markCounted();
      assert.deepEqual([guard.isCounted, guard.id, guard.end], [true, id, end]);
      await guard.append({ height: 3, record: Buffer.from("vote 3") });
      await guard.forget(1);
    }
    assert.deepEqual(await heightsOf(path), [2, 3]);
    await using guard = await GuardFile.open(path, genesis);
    assert.equal(guard.isCounted, true);
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  it("has on the disk what it gives back, also what a process that was killed had not synced", async (t) => {
    const path = await written(1);
    await using probe = await open(path, "r");
    const synced = t.mock.method(Object.getPrototypeOf(probe) as FileHandle, "sync");
    await using _ = await GuardFile.open(path, genesis);
    assert.equal(synced.mock.callCount(), 1);
  });

  it("counts every entry that it ever had, forgotten ones too", async () => {
    const path = newPath();
    GuardFile.create(path, genesis);
    {
      await using guard = await GuardFile.open(path, genesis);
      assert.equal(guard.written, 0);
      for (const height of [1, 2, 3, 4, 5]) await guard.append({ height, record: Buffer.alloc(1 << 20, height) });
      await guard.forget(4);
      assert.equal(guard.entries.length, 1);
      assert.equal(guard.written, 5);
      await guard.append({ height: 6, record: Buffer.from("next") });
    }
    await using guard = await GuardFile.open(path, genesis);
    assert.deepEqual([guard.written, guard.entries.length], [6, 2]);
  });

  it("promises nothing that the disk has taken only in part", async (t) => {
    const path = newPath();
    GuardFile.create(path, genesis);
    await using probe = await open(path, "r");
    const files = Object.getPrototypeOf(probe) as FileHandle;
    const real = files.write as (...args: unknown[]) => Promise<{ bytesWritten: number }>;
    let room = 20;
    // A disk on which 20 bytes are left: a short write first, then none at all.
    t.mock.method(files, "write", function (this: FileHandle, bytes: Buffer, from: number, length: number, at: number) {
      const taken = Math.min(room, length);
      room -= taken;
      return taken === 0 ? Promise.resolve({ bytesWritten: 0 }) : real.call(this, bytes, from, taken, at);
    });
    await using guard = await GuardFile.open(path, genesis);
    await assert.rejects(guard.append({ height: 1, record: Buffer.from("vote") }), { code: "GUARD_UNWRITABLE" });
    assert.deepEqual([guard.written, room], [0, 0]);
    await assert.rejects(guard.append({ height: 1, record: Buffer.from("vote") }), { code: "GUARD_UNWRITABLE" });
  });

  it("promises nothing in a file that was removed, replaced or written by another while it is open", async () => {
    const meddled: readonly [(path: string) => void, RegExp][] = [
      [(path) => rmSync(path), /removed, or replaced/],
      [(path) => renameSync(newCopy(path), path), /removed, or replaced/],
      [(path) => truncateSync(path, statSync(path).size - 1), /another process/],
      [(path) => appendFileSync(path, "x"), /another process/],
    ];
    for (const [meddle, message] of meddled) {
      const path = await written(1);
      await using guard = await GuardFile.open(path, genesis);
      meddle(path);
      const vote = { height: 2, record: Buffer.from("vote") };
      await assert.rejects(guard.append(vote), { code: "GUARD_UNWRITABLE", message });
      assert.equal(guard.written, 1);
    }
  });

  it("of two processes that have opened it lets one promise", async () => {
    const path = await written(1);
    await using one = await GuardFile.open(path, genesis);
    await using other = await GuardFile.open(path, genesis);
    await one.append({ height: 2, record: Buffer.from("vote of one") });
    const late = { height: 2, record: Buffer.from("vote of the other") };
    await assert.rejects(other.append(late), { code: "GUARD_UNWRITABLE" });
    await one.append({ height: 3, record: Buffer.from("vote of one") });
    assert.deepEqual(await heightsOf(path), [1, 2, 3]);
  });

  it("promises nothing any more once it is closed", async () => {
    const path = await written(1);
    const guard = await GuardFile.open(path, genesis);
    await guard[Symbol.asyncDispose]();
    await assert.rejects(guard.append({ height: 2, record: Buffer.from("late") }), { code: "GUARD_UNWRITABLE" });
  });

  it("that cannot be written is not opened", async () => {
    const path = await written(1);
    chmodSync(dirname(path), 0o755);
    chmodSync(path, 0o444);
    // Root writes everything: it is nobody meanwhile.
    const isRoot = process.getuid?.() === 0;
    if (isRoot) process.seteuid?.(nobody);
    try {
      await assert.rejects(GuardFile.open(path, genesis), { code: "GUARD_UNWRITABLE" });
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });
});
