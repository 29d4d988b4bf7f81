import assert from "node:assert/strict";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { failsWith, nobody, OpenedTree, root } from "./opened-tree.ts";

const changes = (opened: OpenedTree, node: number): readonly (() => unknown)[] => [
  () => opened.tree.setAttributes(node, { mode: 0o777 }, undefined),
  () => opened.tree.setAttributes(node, { uid: 1, gid: 1 }, undefined),
  () => opened.tree.setAttributes(node, { modifiedNs: 1n }, undefined),
  () => opened.tree.setExtendedAttribute(node, "user.x", Buffer.from("x"), 0),
  () => opened.tree.removeExtendedAttribute(node, "user.x"),
  () => opened.tree.getAttributes(node, undefined),
];

test("a link of either kind to somebody's file, put in an entry's place, changes nothing of that file", (t) => {
  for (const [kind, put] of [
    ["symbolic", symlinkSync],
    ["hard", linkSync],
  ] as const) {
    const opened = new OpenedTree(t);
    const victim = join(opened.folder, "..", "victim");
    writeFileSync(victim, "victim's", { mode: 0o600 });
    opened.tree.makeNode(root, "fifo", 0o010644, 0, nobody);
    opened.makeFile(root, "file", "content");
    opened.makeFolder(root, "folder");
    opened.reopen();
    for (const name of ["fifo", "file", "folder"]) {
      const { node } = opened.tree.lookup(root, name);
      const path = opened.backingPath(name);
      if (name === "folder") rmdirSync(path);
      else unlinkSync(path);
      put(victim, path);
      const before = statSync(victim, { bigint: true });
      for (const change of changes(opened, node)) {
        try {
          change();
        } catch {}
      }
      const after = statSync(victim, { bigint: true });
      const facts = (status: typeof before) => [status.mode, status.uid, status.gid, status.mtimeNs, status.ctimeNs];
      assert.deepEqual(facts(after), facts(before), `${kind} link for ${name}`);
      assert.equal(readFileSync(victim, "utf8"), "victim's");
      assert.throws(() => opened.tree.lookup(root, name), failsWith("EIO"));
      unlinkSync(path);
    }
    assert.equal(opened.eventKinds().includes("inode-replaced"), true);
  }
});

test("another file in a file's place is not opened", (t) => {
  const opened = new OpenedTree(t);
  opened.makeFile(root, "file", "content");
  opened.makeFile(root, "other", "other");
  opened.reopen();
  const [file, another] = [opened.backingPath("file"), opened.backingPath("other")];
  opened.close();
  opened.tree.lookup(root, "file");
  renameSync(file, `${file}x`);
  renameSync(another, file);
  assert.throws(() => opened.read(root, "file"), failsWith("EIO"));
});

test("two folders that are exchanged in the store answer EIO for every name, though one is empty", (t) => {
  for (const names of ["inner", undefined]) {
    const opened = new OpenedTree(t);
    opened.makeFile(opened.makeFolder(root, "one"), "of one", "1");
    const two = opened.makeFolder(root, "two");
    if (names !== undefined) opened.makeFile(two, names, "2");
    opened.close();
    const [one, other] = [opened.backingPath("one"), opened.backingPath("two")];
    renameSync(one, `${one}x`);
    renameSync(other, one);
    renameSync(`${one}x`, other);
    for (const name of ["one", "two"]) {
      const { node } = opened.tree.lookup(root, name);
      for (const asked of ["of one", "inner", "never there"])
        assert.throws(() => opened.tree.lookup(node, asked), failsWith("EIO"));
      assert.throws(() => opened.makeFile(node, "new"), failsWith("EIO"));
      assert.throws(() => opened.list(node), failsWith("EIO"));
      assert.throws(() => opened.tree.removeDirectory(root, name), failsWith("EIO"));
    }
    assert.deepEqual(opened.eventKinds(), ["folder-replaced", "folder-replaced"]);
  }
});

test("folders that are exchanged while they are served answer EIO, and go on when they are put back", (t) => {
  const opened = new OpenedTree(t);
  opened.makeFile(opened.makeFolder(root, "one"), "file", "1");
  opened.makeFile(opened.makeFolder(root, "two"), "file", "2");
  opened.reopen();
  const node = opened.tree.lookup(root, "one").node;
  const [one, two] = [opened.backingPath("one"), opened.backingPath("two")];
  const exchange = (): void => {
    renameSync(one, `${one}x`);
    renameSync(two, one);
    renameSync(`${one}x`, two);
  };
  exchange();
  assert.throws(() => opened.tree.lookup(root, "one"), failsWith("EIO"));
  assert.throws(() => opened.tree.lookup(node, "file"), failsWith("EIO"));
  exchange();
  assert.equal(opened.read(node, "file"), "1");
});

test("a folder whose children were all brought from another takes no name for one that is not there", (t) => {
  const opened = new OpenedTree(t);
  opened.makeFile(opened.makeFolder(root, "one"), "a", "1");
  opened.makeFile(opened.makeFolder(root, "two"), "b", "2");
  opened.close();
  const [a, b] = [
    opened.backingName("a", opened.backingName("one")),
    opened.backingName("b", opened.backingName("two")),
  ];
  const moved = (name: string, folder: string): string =>
    join(opened.backingPath(folder), name.split("/").at(-1) ?? "");
  renameSync(join(opened.folder, a), moved(a, "two"));
  renameSync(join(opened.folder, b), moved(b, "one"));
  for (const [folder, name] of [
    ["one", "a"],
    ["two", "b"],
  ] as const)
    assert.throws(() => opened.tree.lookup(opened.tree.lookup(root, folder).node, name), failsWith("EIO"));
});

test("a folder without a mark is believed by its entries", (t) => {
  const opened = new OpenedTree(t);
  mkdirSync(join(opened.folder, "..", "elsewhere"));
  chmodSync(join(opened.folder, "..", "elsewhere"), 0o755);
  opened.makeFile(opened.makeFolder(root, "folder"), "inner", "content");
  opened.close();
  const path = opened.backingPath("folder");
  const inner = opened.backingName("inner", opened.backingName("folder")).split("/").at(-1) ?? "";
  const fresh = join(opened.folder, "..", "elsewhere");
  renameSync(join(path, inner), join(fresh, inner));
  rmdirSync(path);
  renameSync(fresh, path);
  assert.equal(opened.read(opened.tree.lookup(root, "folder").node, "inner"), "content");
  assert.deepEqual(opened.events, []);
});
