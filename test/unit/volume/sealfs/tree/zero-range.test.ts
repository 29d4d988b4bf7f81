import assert from "node:assert/strict";
import { test } from "node:test";
import { failsWith, OpenedTree, root } from "./opened-tree.ts";

const zeroRange = 16;
const keepSize = 1;

test("a zeroed range reads as zeros, and makes the file larger unless its size is kept", (t) => {
  const opened = new OpenedTree(t);
  const file = opened.makeFile(root, "file", `012${"\0".repeat(4)}789`);
  const handle = opened.tree.open(file, 2);
  opened.tree.allocate(handle, zeroRange, 3, 4);
  const bytes = Buffer.alloc(20);
  assert.equal(opened.tree.read(handle, 0, bytes), 10);
  assert.equal(bytes.toString("latin1", 0, 10), `012${"\0".repeat(4)}789`);
  opened.tree.allocate(handle, zeroRange | keepSize, 8, 100);
  assert.equal(opened.tree.getAttributes(file, handle).size, 10);
  opened.tree.allocate(handle, zeroRange, 9, 6);
  assert.equal(opened.tree.read(handle, 0, bytes), 15);
  assert.equal(bytes.toString("latin1", 0, 15), `012${"\0".repeat(4)}7${"\0".repeat(7)}`);
  opened.tree.release(handle);
});

test("a range is not zeroed together with a hole, nor of no length, nor through a handle for reading", (t) => {
  const opened = new OpenedTree(t);
  const file = opened.makeFile(root, "file", `012${"\0".repeat(4)}789`);
  const [writing, reading] = [opened.tree.open(file, 2), opened.tree.open(file, 0)];
  for (const mode of [zeroRange | 2, zeroRange | 3, zeroRange | 8, zeroRange | 32])
    assert.throws(() => opened.tree.allocate(writing, mode, 0, 1), failsWith("EOPNOTSUPP"));
  assert.throws(() => opened.tree.allocate(writing, zeroRange, 0, 0), failsWith("EINVAL"));
  assert.throws(() => opened.tree.allocate(reading, zeroRange, 0, 1), failsWith("EBADF"));
  assert.equal(opened.read(root, "file"), `012${"\0".repeat(4)}789`);
});
