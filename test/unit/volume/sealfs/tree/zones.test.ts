import assert from "node:assert/strict";
import { readFileSync, renameSync } from "node:fs";
import { test } from "node:test";
import { FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import { SealedContents } from "../../../../../src/volume/sealfs/server/sealed-contents.ts";
import type { TreeZone } from "../../../../../src/volume/sealfs/tree/tree-keys.ts";
import { failsWith, nobody, OpenedTree, root } from "./opened-tree.ts";
import { TestKeys } from "./test-keys.ts";

const layout = { blockBytes: 4096, integrity: "blocks" } as const;
const contents = () => new SealedContents(layout, true, () => {});
const patterns = [/^data\/[^/]+$/];

test("nothing is renamed or linked from one zone to another", (t) => {
  const opened = new OpenedTree(t, new TestKeys("plain", patterns), contents());
  const { tree } = opened;
  const data = opened.makeFolder(root, "data");
  const one = opened.makeFolder(data, "one");
  const two = opened.makeFolder(data, "two");
  const file = opened.makeFile(one, "file", "content");
  opened.makeFolder(one, "below");
  tree.makeSymlink(one, "link", Buffer.from("x"), nobody);
  for (const name of ["file", "below", "link"]) {
    assert.throws(() => tree.rename(one, name, two, name, 0), failsWith("EXDEV"));
    assert.throws(() => tree.rename(one, name, root, name, 0), failsWith("EXDEV"));
  }
  assert.throws(() => tree.link(file, two, "file"), failsWith("EXDEV"));
  tree.rename(one, "file", tree.lookup(one, "below").node, "moved", 0);
  assert.equal(opened.read(tree.lookup(one, "below").node, "moved"), "content");
});

test("a folder that has a zone, holds one, or would get one keeps its name", (t) => {
  const opened = new OpenedTree(t, new TestKeys("plain", patterns), contents());
  const { tree } = opened;
  const data = opened.makeFolder(root, "data");
  opened.makeFolder(data, "one");
  opened.makeFolder(root, "other");
  assert.throws(() => tree.rename(data, "one", data, "two", 0), failsWith("EXDEV"));
  assert.throws(() => tree.rename(root, "data", root, "moved", 0), failsWith("EXDEV"));
  assert.throws(() => tree.rename(root, "other", data, "two", 0), failsWith("EXDEV"));
  assert.throws(() => tree.rename(root, "other", root, "data", 2), failsWith("EXDEV"));
  tree.rename(root, "other", root, "renamed", 0);
  assert.deepEqual(opened.list(root).sort(), ["data", "renamed"]);
});

test("the keys are told of each folder that is removed, and a folder made again has a zone of its own", (t) => {
  const keys = new TestKeys("plain", patterns);
  const opened = new OpenedTree(t, keys, contents());
  const data = opened.makeFolder(root, "data");
  opened.makeFolder(data, "one");
  const { zoneId } = keys.zoneOf(["data", "one"]);
  opened.tree.removeDirectory(data, "one");
  assert.deepEqual(keys.removed, ["data/one"]);
  opened.makeFolder(data, "one");
  assert.notDeepEqual(keys.zoneOf(["data", "one"]).zoneId, zoneId);
});

test("a file of one zone under the name of another zone's is not opened", (t) => {
  const opened = new OpenedTree(t, new TestKeys("plain", patterns), contents());
  const data = opened.makeFolder(root, "data");
  for (const name of ["one", "two"]) opened.makeFile(opened.makeFolder(data, name), "file", `of ${name}`);
  opened.close();
  const within = opened.backingName("data");
  const path = (name: string) => opened.backingPath("file", opened.backingName(name, within));
  const [one, two] = [path("one"), path("two")];
  renameSync(one, two);
  const folder = opened.tree.lookup(opened.tree.lookup(root, "data").node, "two").node;
  assert.throws(() => opened.read(folder, "file"), failsWith("EIO"));
});

test("where a zone's keys are gone its entries can be seen and removed, but not opened or made", (t) => {
  const keys = new DestroyableKeys("plain", patterns);
  const opened = new OpenedTree(t, keys, contents());
  const data = opened.makeFolder(root, "data");
  const zone = opened.makeFolder(data, "one");
  opened.makeFile(zone, "file", "content");
  opened.close();
  keys.destroyed = true;
  const { tree } = opened;
  const one = tree.lookup(tree.lookup(root, "data").node, "one").node;
  assert.deepEqual(opened.list(one), ["file"]);
  const { node } = tree.lookup(one, "file");
  assert.throws(() => tree.open(node, 0), failsWith("ENOKEY"));
  assert.throws(() => tree.setAttributes(node, { size: 0 }, undefined), failsWith("ENOKEY"));
  tree.unlink(one, "file");
  tree.removeDirectory(tree.lookup(root, "data").node, "one");
  assert.deepEqual(opened.events, []);
});

test("a plain zone's files lie in the backing folder as they are", (t) => {
  const keys = new PlainZoneKeys("plain", patterns);
  const opened = new OpenedTree(t, keys, contents());
  const data = opened.makeFolder(root, "data");
  opened.makeFile(opened.makeFolder(data, "one"), "file", "plain content");
  opened.makeFile(data, "file", "sealed content");
  opened.close();
  const within = opened.backingName("data");
  const plain = opened.backingPath("file", opened.backingName("one", within));
  assert.equal(readFileSync(plain, "utf8"), "plain content");
  assert.equal(readFileSync(opened.backingPath("file", within)).includes("sealed content"), false);
  const folder = opened.tree.lookup(root, "data").node;
  assert.equal(opened.read(opened.tree.lookup(folder, "one").node, "file"), "plain content");
  assert.equal(opened.read(folder, "file"), "sealed content");
});

/** Keys of which all but the root's zone can be destroyed. */
class DestroyableKeys extends TestKeys {
  destroyed = false;

  override zoneOf(path: readonly string[]): TreeZone {
    const zone = super.zoneOf(path);
    if (!this.destroyed || zone.keys === undefined || path.length < 2) return zone;
    const { zoneId, generation } = zone.keys;
    const fileCipher = (): never => {
      throw new FsError("ENOKEY", "destroyed");
    };
    return { zoneId, keys: { zoneId, generation, fileCipher } };
  }
}

/** Keys with plain zones. */
class PlainZoneKeys extends TestKeys {
  override zoneOf(path: readonly string[]): TreeZone {
    const { zoneId, keys } = super.zoneOf(path);
    return { zoneId, keys: path.length < 2 ? keys : undefined };
  }
}
