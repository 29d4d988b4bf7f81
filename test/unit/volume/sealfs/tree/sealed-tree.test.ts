import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { test } from "node:test";
import { renameFlags } from "../../../../../src/volume/sealfs/file-system.ts";
import { failsWith, nobody, OpenedTree, root } from "./opened-tree.ts";
import { TestKeys } from "./test-keys.ts";

for (const names of ["plain", "encrypted"] as const) {
  const open = (t: import("node:test").TestContext) => new OpenedTree(t, new TestKeys(names));

  test(`files, folders and links are found again after the tree was closed (${names} names)`, (t) => {
    const opened = open(t);
    const folder = opened.makeFolder(root, "folder");
    opened.makeFile(folder, "file", "content");
    opened.tree.makeSymlink(folder, "link", Buffer.from("../else/where"), nobody);
    opened.tree.makeNode(folder, "fifo", 0o010600, 0, nobody);
    opened.tree.link(opened.tree.lookup(folder, "file").node, root, "other name");
    opened.reopen();
    const { node } = opened.tree.lookup(root, "folder");
    assert.deepEqual(opened.list(node).sort(), ["fifo", "file", "link"]);
    assert.equal(opened.read(node, "file"), "content");
    assert.equal(opened.read(root, "other name"), "content");
    const link = opened.tree.lookup(node, "link");
    assert.equal(opened.tree.readLink(link.node).toString(), "../else/where");
    assert.equal(link.attributes.size, 13);
    assert.equal(opened.tree.lookup(node, "fifo").attributes.mode, 0o010600);
    const file = opened.tree.lookup(node, "file");
    assert.equal(file.attributes.links, 2);
    assert.equal(file.attributes.size, 7);
    assert.equal(file.node, opened.tree.lookup(root, "other name").node);
    assert.deepEqual(opened.events, []);
  });

  test(`names of 1 to 255 bytes, of any bytes, come back as they were (${names} names)`, (t) => {
    const opened = open(t);
    const anyBytes = Array.from({ length: 255 }, (_, byte) => String.fromCharCode(byte + 1)).filter((c) => c !== "/");
    const made = [anyBytes.join(""), "=", "=x", "~", "a~b", "...", "x".repeat(199), "y".repeat(200), "z".repeat(255)];
    made.push("\xff".repeat(255), "q".repeat(133), "r".repeat(134), `${"~".repeat(60)}`, "=".repeat(255));
    for (const name of made) opened.makeFile(root, name, `content of ${name.length}`);
    for (let round = 0; round < 2; round += 1) {
      assert.deepEqual(opened.list(root).sort(), made.toSorted());
      for (const name of made) assert.equal(opened.read(root, name), `content of ${name.length}`);
      opened.reopen();
    }
    const renamed = made.map((name, index) => String.fromCharCode(128 + index) + name.slice(1));
    for (const [index, name] of made.entries()) opened.tree.rename(root, name, root, renamed[index] ?? "", 0);
    opened.reopen();
    for (const name of renamed) opened.tree.unlink(root, name);
    assert.deepEqual(opened.list(root), []);
    opened.reopen();
    assert.deepEqual(opened.list(root), []);
    assert.deepEqual(opened.events, []);
  });

  test(`a rename replaces, exchanges or refuses as it is asked (${names} names)`, (t) => {
    const opened = open(t);
    const { tree } = opened;
    const long = "l".repeat(255);
    opened.makeFile(root, "a", "of a");
    opened.makeFile(root, long, "of long");
    const folder = opened.makeFolder(root, "folder");
    opened.makeFile(folder, "b", "of b");
    assert.throws(() => tree.rename(root, "a", folder, "b", renameFlags.noReplace), failsWith("EEXIST"));
    assert.throws(() => tree.rename(root, "a", root, "none", renameFlags.exchange), failsWith("ENOENT"));
    assert.throws(() => tree.rename(root, "a", root, "folder", 0), failsWith("EISDIR"));
    assert.throws(() => tree.rename(root, "folder", root, "a", 0), failsWith("ENOTDIR"));
    assert.throws(() => tree.rename(root, "folder", folder, "inside", 0), failsWith("EINVAL"));
    assert.throws(() => tree.rename(root, "folder", folder, "b", renameFlags.exchange), failsWith("EINVAL"));
    assert.throws(() => tree.rename(root, "a", root, "b", 7), failsWith("EINVAL"));
    tree.rename(root, "a", folder, "b", renameFlags.exchange);
    assert.equal(opened.read(root, "a"), "of b");
    assert.equal(opened.read(folder, "b"), "of a");
    tree.rename(root, long, root, "a", 0);
    tree.rename(root, "folder", root, "a", renameFlags.exchange);
    opened.reopen();
    assert.deepEqual(opened.list(root).sort(), ["a", "folder"]);
    assert.equal(opened.read(root, "folder"), "of long");
    assert.equal(opened.read(opened.tree.lookup(root, "a").node, "b"), "of a");
    assert.deepEqual(opened.events, []);
  });

  test(`extended attributes are kept with their names, and only of the user's class (${names} names)`, (t) => {
    const opened = open(t);
    const file = opened.makeFile(root, "file");
    const longName = `user.${"n".repeat(250)}`;
    opened.tree.setExtendedAttribute(file, "user.color", Buffer.from("red"), 1);
    opened.tree.setExtendedAttribute(file, longName, Buffer.alloc(0), 0);
    opened.tree.setExtendedAttribute(root, "user.of the root", Buffer.from("x"), 0);
    assert.throws(() => opened.tree.setExtendedAttribute(file, "user.color", Buffer.from("x"), 1), failsWith("EEXIST"));
    assert.throws(() => opened.tree.setExtendedAttribute(file, "user.none", Buffer.from("x"), 2), failsWith("ENODATA"));
    const { node } = opened.reopen().lookup(root, "file");
    assert.deepEqual(opened.tree.listExtendedAttributes(node).toSorted(), ["user.color", longName]);
    assert.equal(opened.tree.getExtendedAttribute(node, "user.color").toString(), "red");
    assert.equal(opened.tree.getExtendedAttribute(node, longName).length, 0);
    opened.tree.removeExtendedAttribute(node, "user.color");
    assert.throws(() => opened.tree.getExtendedAttribute(node, "user.color"), failsWith("ENODATA"));
    assert.throws(() => opened.tree.removeExtendedAttribute(node, "user.color"), failsWith("ENODATA"));
    assert.throws(() => opened.tree.getExtendedAttribute(node, "security.capability"), failsWith("ENODATA"));
    assert.throws(() => opened.tree.getExtendedAttribute(node, "system.posix_acl_access"), failsWith("EOPNOTSUPP"));
    assert.throws(
      () => opened.tree.setExtendedAttribute(node, "security.selinux", Buffer.from("x"), 0),
      failsWith("EOPNOTSUPP"),
    );
  });
}

test("encrypted names show in no name, sidecar or link of the backing folder", (t) => {
  const opened = new OpenedTree(t, new TestKeys("encrypted"));
  const folder = opened.makeFolder(root, "canary-folder");
  opened.makeFile(folder, "canary-file");
  opened.makeFile(folder, `canary-${"x".repeat(200)}`);
  opened.tree.makeSymlink(folder, "canary-link", Buffer.from("canary-target"), nobody);
  opened.close();
  const everything = readEverything(opened.folder);
  assert.equal(everything.includes("canary"), false);
  assert.equal(everything.length > 300, true);
});

test("an open file that is removed, or replaced, can still be used", (t) => {
  const opened = new OpenedTree(t);
  const { tree } = opened;
  opened.makeFile(root, "file", "first");
  opened.makeFile(root, "other", "second");
  const { node } = tree.lookup(root, "file");
  const handle = tree.open(node, 2);
  tree.rename(root, "other", root, "file", 0);
  assert.equal(tree.getAttributes(node, handle).links, 0);
  tree.write(handle, 5, Buffer.from(" and more"));
  const into = Buffer.alloc(100);
  assert.equal(into.toString("utf8", 0, tree.read(handle, 0, into)), "first and more");
  assert.equal(tree.setAttributes(node, { size: 5, mode: 0o600 }, handle).size, 5);
  tree.setExtendedAttribute(node, "user.x", Buffer.from("y"), 0);
  tree.sync(handle, false);
  tree.release(handle);
  assert.equal(tree.getAttributes(node, undefined).links, 0);
  const again = tree.open(node, 0);
  assert.equal(into.toString("utf8", 0, tree.read(again, 0, into)), "first");
  tree.release(again);
  tree.setAttributes(node, { mode: 0o640 }, undefined);
  tree.setExtendedAttribute(node, "user.y", Buffer.from("z"), 0);
  assert.equal(tree.getAttributes(node, undefined).mode & 0o777, 0o640);
  assert.throws(() => tree.link(node, root, "again"), failsWith("ENOENT"));
  tree.forget(node, 99);
  assert.throws(() => tree.getAttributes(node, undefined), failsWith("ESTALE"));
  assert.equal(opened.read(root, "file"), "second");
});

test("a removed folder that is still open holds nothing and takes nothing", (t) => {
  const opened = new OpenedTree(t);
  const folder = opened.makeFolder(root, "folder");
  const file = opened.makeFile(folder, "file");
  assert.throws(() => opened.tree.removeDirectory(root, "folder"), failsWith("ENOTEMPTY"));
  assert.throws(() => opened.tree.removeDirectory(folder, "file"), failsWith("ENOTDIR"));
  assert.throws(() => opened.tree.unlink(root, "folder"), failsWith("EISDIR"));
  opened.tree.unlink(folder, "file");
  const handle = opened.tree.openDirectory(folder);
  opened.tree.removeDirectory(root, "folder");
  assert.equal(opened.tree.getAttributes(folder, undefined).links, 0);
  assert.equal(opened.tree.getAttributes(file, undefined).links, 0);
  assert.throws(() => opened.tree.lookup(folder, "file"), failsWith("ENOENT"));
  assert.throws(() => opened.makeFile(folder, "file"), failsWith("ENOENT"));
  assert.throws(() => opened.makeFolder(folder, "below"), failsWith("ENOENT"));
  opened.tree.readDirectory(handle, 0, () => assert.fail("there is no entry"));
  opened.tree.releaseDirectory(handle);
});

test("names that are none are refused", (t) => {
  const opened = new OpenedTree(t);
  for (const name of ["", ".", "..", "a/b", "a\0b"])
    for (const use of [
      () => opened.tree.lookup(root, name),
      () => opened.makeFile(root, name),
      () => opened.makeFolder(root, name),
      () => opened.tree.unlink(root, name),
    ])
      assert.throws(use, failsWith("EINVAL"));
  assert.throws(() => opened.tree.lookup(root, "x".repeat(256)), failsWith("ENAMETOOLONG"));
  assert.throws(() => opened.tree.makeSymlink(root, "l", Buffer.alloc(3044, 97), nobody), failsWith("ENAMETOOLONG"));
  opened.tree.makeSymlink(root, "l", Buffer.alloc(3043, 97), nobody);
  assert.equal(opened.tree.readLink(opened.tree.lookup(root, "l").node).length, 3043);
  assert.deepEqual(opened.list(root), ["l"]);
});

test("nodes and handles that are not in use are refused", (t) => {
  const opened = new OpenedTree(t);
  const { tree } = opened;
  const file = opened.makeFile(root, "file");
  assert.throws(() => tree.getAttributes(99, undefined), failsWith("ESTALE"));
  assert.throws(() => tree.lookup(file, "x"), failsWith("ENOTDIR"));
  assert.throws(() => tree.readLink(file), failsWith("EINVAL"));
  assert.throws(() => tree.open(root, 0), failsWith("EISDIR"));
  assert.throws(() => tree.read(1, 0, Buffer.alloc(1)), failsWith("EBADF"));
  const reading = tree.open(file, 0);
  const writing = tree.open(file, 1);
  assert.throws(() => tree.write(reading, 0, Buffer.from("x")), failsWith("EBADF"));
  assert.throws(() => tree.read(writing, 0, Buffer.alloc(1)), failsWith("EBADF"));
  assert.throws(() => tree.readDirectory(reading, 0, () => true), failsWith("EBADF"));
  assert.throws(() => tree.allocate(writing, 8, 0, 1), failsWith("EOPNOTSUPP"));
  assert.throws(() => tree.allocate(writing, 0, 0, 0), failsWith("EINVAL"));
  assert.throws(() => tree.seek(reading, 0, 3), failsWith("ENXIO"));
  assert.throws(() => tree.seek(reading, 0, 1), failsWith("EINVAL"));
  tree.release(reading);
  assert.throws(() => tree.flush(reading), failsWith("EBADF"));
  tree.release(writing);
});

test("the time of modification is the writer's, whatever is committed later", (t) => {
  const opened = new OpenedTree(t);
  const { tree } = opened;
  const { node, handle } = tree.create(root, "file", 0o644, 2, nobody);
  tree.write(handle, 0, Buffer.from("x"));
  assert.equal(tree.setAttributes(node, { modifiedNs: 1_000_000_001n }, handle).modifiedNs, 1_000_000_001n);
  tree.sync(handle, true);
  tree.release(handle);
  assert.equal(tree.getAttributes(node, undefined).modifiedNs, 1_000_000_001n);
  assert.equal(tree.setAttributes(node, { accessedNs: -1n, modifiedNs: -5n }, undefined).modifiedNs, -5n);
  assert.equal(opened.reopen().lookup(root, "file").attributes.accessedNs, -1n);
  const changed = opened.tree.setAttributes(opened.tree.lookup(root, "file").node, { size: 9 }, undefined);
  assert.equal(changed.modifiedNs > 1_000_000_001n, true);
  assert.equal(changed.size, 9);
});

test("ten thousand entries are listed once each, while others are made and removed", (t) => {
  const opened = new OpenedTree(t, new TestKeys("encrypted"));
  const { tree } = opened;
  const folder = opened.makeFolder(root, "many");
  for (let number = 0; number < 10_000; number += 1) tree.makeNode(folder, `entry ${number}`, 0o010600, 0, nobody);
  const { node } = opened.reopen().lookup(root, "many");
  const handle = opened.tree.openDirectory(node);
  const seen: string[] = [];
  let from = 0;
  for (let batch = 0; ; batch += 1) {
    let taken = 0;
    opened.tree.readDirectory(handle, from, ({ name, next }) => {
      if (taken === 200) return false;
      taken += 1;
      seen.push(name);
      from = next;
      return true;
    });
    if (taken === 0) break;
    opened.tree.makeNode(node, `new ${batch}`, 0o010600, 0, nobody);
    opened.tree.unlink(node, `entry ${batch}`);
  }
  const stayed = new Set(seen);
  assert.equal(new Set(seen).size, seen.length);
  const missing = Array.from({ length: 9900 }, (_, index) => `entry ${index + 100}`).filter(
    (name) => !stayed.has(name),
  );
  assert.deepEqual(missing, []);
  opened.tree.releaseDirectory(handle);
});

test("what is forgotten is dropped, and what lies below a folder in use keeps it", (t) => {
  const opened = new OpenedTree(t);
  const folder = opened.makeFolder(root, "folder");
  const file = opened.makeFile(folder, "file", "content");
  opened.tree.forget(folder, 1);
  assert.equal(opened.tree.lookup(root, "folder").node, folder);
  opened.tree.forget(folder, 1);
  opened.tree.forget(file, 1);
  assert.throws(() => opened.tree.getAttributes(folder, undefined), failsWith("ESTALE"));
  assert.throws(() => opened.tree.getAttributes(file, undefined), failsWith("ESTALE"));
  assert.equal(opened.read(opened.tree.lookup(root, "folder").node, "file"), "content");
  opened.tree.forget(12_345, 1);
  opened.tree.forget(root, 1);
  assert.equal(opened.tree.getAttributes(root, undefined).inode, BigInt(statSync(opened.folder).ino));
});

test("a folder with hundreds of folders below each other is reached, renamed and left without a descriptor each", (t) => {
  const opened = new OpenedTree(t);
  let node = root;
  for (let depth = 0; depth < 400; depth += 1) node = opened.makeFolder(node, `depth ${depth}`);
  opened.makeFile(node, "deepest", "content");
  opened.tree.rename(root, "depth 0", root, "renamed", 0);
  assert.equal(opened.read(node, "deepest"), "content");
  opened.reopen();
  node = opened.tree.lookup(root, "renamed").node;
  for (let depth = 1; depth < 400; depth += 1) node = opened.tree.lookup(node, `depth ${depth}`).node;
  assert.equal(opened.read(node, "deepest"), "content");
});

function readEverything(folder: string): string {
  const { stdout } = spawnSync("find", [folder, "-printf", "%p %l\\n", "-type", "f", "-exec", "cat", "{}", ";"]);
  return stdout.toString("latin1");
}
