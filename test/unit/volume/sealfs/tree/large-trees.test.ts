import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { maxPathSegments } from "../../../../../src/volume/sealfs/keys/zone.ts";
import { Sequences } from "../../../../../src/volume/sealfs/tree/sequences.ts";
import { deepestZone } from "../../../../../src/volume/sealfs/tree/tree-keys.ts";
import { failsWith, nobody, OpenedTree, root } from "./opened-tree.ts";
import { TestKeys } from "./test-keys.ts";

class CountingKeys extends TestKeys {
  macs = 0;
  longestPath = 0;

  override mac(message: Buffer): Buffer {
    this.macs += 1;
    return super.mac(message);
  }

  override zoneOf(path: readonly string[]) {
    this.longestPath = Math.max(this.longestPath, path.length);
    return super.zoneOf(path);
  }
}

function many(t: TestContext, count: number): { opened: OpenedTree; keys: CountingKeys } {
  const keys = new CountingKeys("encrypted");
  const opened = new OpenedTree(t, keys);
  for (let number = 0; number < count; number += 1)
    opened.tree.makeSymlink(root, `entry ${number}`, Buffer.from("x"), nobody);
  opened.close();
  return { opened, keys };
}

test("the first look into a large folder verifies what was asked for, and a listing everything", (t) => {
  const { opened, keys } = many(t, 2000);
  keys.macs = 0;
  opened.tree.lookup(root, "entry 7");
  assert.throws(() => opened.tree.lookup(root, "none"), failsWith("ENOENT"));
  assert.equal(keys.macs < 20, true);
  assert.equal(opened.list(root).length, 2000);
  assert.equal(keys.macs > 4000, true);
});

test("a name is computed once for a look, a creation and a removal that follow each other", (t) => {
  const { opened, keys } = many(t, 1);
  opened.tree.lookup(root, "entry 0");
  keys.macs = 0;
  assert.throws(() => opened.tree.lookup(root, "new"), failsWith("ENOENT"));
  opened.makeFile(root, "new");
  opened.tree.unlink(root, "new");
  assert.equal(keys.macs, 2);
});

test("a folder deeper than any zone lies in the zone above it, and nobody asks for its path", (t) => {
  assert.equal(deepestZone, maxPathSegments);
  const keys = new CountingKeys("plain");
  const opened = new OpenedTree(t, keys);
  let folder = root;
  for (let depth = 0; depth < deepestZone + 40; depth += 1) folder = opened.makeFolder(folder, "d");
  opened.makeFile(folder, "file", "deep");
  opened.reopen();
  folder = root;
  for (let depth = 0; depth < deepestZone + 40; depth += 1) folder = opened.tree.lookup(folder, "d").node;
  assert.equal(opened.read(folder, "file"), "deep");
  assert.equal(keys.longestPath, deepestZone);
  opened.tree.unlink(folder, "file");
});

test("a file of a thousand names loses them one by one, in any order", (t) => {
  const opened = new OpenedTree(t);
  const node = opened.makeFile(root, "name 0", "content");
  for (let number = 1; number < 1000; number += 1) opened.tree.link(node, root, `name ${number}`);
  for (let number = 0; number < 999; number += 1) opened.tree.unlink(root, `name ${(number * 7) % 1000}`);
  const [last = ""] = opened.list(root);
  assert.equal(opened.tree.lookup(root, last).attributes.links, 1);
  assert.equal(opened.read(root, last), "content");
});

test("ctime moves with an open file's content", async (t) => {
  const opened = new OpenedTree(t);
  const { node, handle } = opened.tree.create(root, "file", 0o644, 2, nobody);
  opened.tree.flush(handle);
  const before = opened.tree.getAttributes(node, undefined);
  await new Promise((resolve) => setTimeout(resolve, 20));
  opened.tree.write(handle, 0, Buffer.from("more"));
  const after = opened.tree.getAttributes(node, undefined);
  assert.equal(after.changedNs > before.changedNs, true);
  assert.equal(after.changedNs >= after.modifiedNs, true);
  opened.tree.setAttributes(node, { modifiedNs: 10n ** 19n }, handle);
  assert.equal(opened.tree.getAttributes(node, undefined).changedNs < 10n ** 19n, true);
  opened.tree.release(handle);
});

test("a sequence is above all before it, whatever the clock does", () => {
  let nowMs = 1_000_000;
  const sequences = new Sequences(() => nowMs);
  const first = sequences.next();
  assert.equal(first, 1_000_000_000n);
  assert.equal(sequences.next(), first + 1n);
  nowMs = 5;
  assert.equal(sequences.next(), first + 2n);
  sequences.seen(first + 100n);
  assert.equal(sequences.next(), first + 101n);
  sequences.seen(3n);
  assert.equal(sequences.next(), first + 102n);
  nowMs = 2_000_000;
  assert.equal(sequences.next(), 2_000_000_000n);
});
