import assert from "node:assert/strict";
import { copyFileSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { SealedContents } from "../../../../../src/volume/sealfs/server/sealed-contents.ts";
import { observeSystemCalls, type SystemCallName } from "../../../../../src/volume/sealfs/system/calls.ts";
import { DescriptorBudget } from "../../../../../src/volume/sealfs/tree/descriptor-budget.ts";
import { failsWith, OpenedTree, root } from "./opened-tree.ts";
import { TestKeys } from "./test-keys.ts";

const layout = { blockBytes: 4096, integrity: "tree" } as const;
const readWrite = 2;
const seekData = 3;

/** Sealed files `a` and `b`, closed in order, in a tree that is opened anew. */
function prepared(t: TestContext): OpenedTree {
  const opened = new OpenedTree(t, new TestKeys("plain"), new SealedContents(layout, true, () => {}));
  opened.makeFile(root, "a", "of a");
  opened.makeFile(root, "b", "of b");
  opened.close();
  return opened;
}

/** `a` looked up and open for reading. */
function waiting(t: TestContext): { opened: OpenedTree; node: number; handle: number } {
  const opened = prepared(t);
  const { node } = opened.tree.lookup(root, "a");
  return { opened, node, handle: opened.tree.open(node, 0) };
}

function read({ tree }: OpenedTree, handle: number): string {
  const into = Buffer.alloc(100);
  return into.toString("utf8", 0, tree.read(handle, 0, into));
}

function damage(path: string): void {
  const bytes = readFileSync(path);
  for (const place of [100, 4196]) bytes[place] = (bytes[place] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

function callsDuring(t: TestContext, run: () => void): SystemCallName[] {
  const names: SystemCallName[] = [];
  observeSystemCalls((name) => void names.push(name));
  t.after(() => observeSystemCalls(undefined));
  run();
  observeSystemCalls(undefined);
  return names;
}

test("a file that was looked up and is opened for reading is not touched in the store before it is read", (t) => {
  const opened = prepared(t);
  const { tree } = opened;
  const { node } = tree.lookup(root, "a");
  const calls = callsDuring(t, () => {
    const handle = tree.open(node, 0);
    tree.flush(handle);
    tree.release(handle);
  });
  assert.deepEqual(calls, []);
  const handle = tree.open(node, 0);
  assert.equal(callsDuring(t, () => assert.equal(read(opened, handle), "of a")).includes("openat"), true);
  assert.deepEqual(
    callsDuring(t, () => void read(opened, handle)).filter((name) => name === "openat"),
    [],
  );
  tree.release(handle);
});

test("a file stays readable for who opened it and reads it only after it was removed", (t) => {
  const { opened, node, handle } = waiting(t);
  opened.tree.unlink(root, "a");
  assert.equal(read(opened, handle), "of a");
  const { size, links } = opened.tree.getAttributes(node, handle);
  assert.deepEqual({ size, links }, { size: 4, links: 0 });
  opened.tree.release(handle);
});

test("a removed file that waits to be read is among the open contents, which keys are counted by", (t) => {
  const { opened } = waiting(t);
  opened.tree.unlink(root, "a");
  assert.deepEqual(
    Array.from(opened.tree.openContents(), ({ removed, content }) => [removed, content.handles]),
    [[true, 1]],
  );
});

test("a file stays readable for who opened it and reads it only after another took its name", (t) => {
  const { opened, handle } = waiting(t);
  opened.tree.rename(root, "b", root, "a", 0);
  assert.equal(read(opened, handle), "of a");
  assert.equal(opened.read(root, "a"), "of b");
  opened.tree.release(handle);
});

test("a file that is renamed or exchanged between its opening and its reading is read", (t) => {
  const { opened, handle } = waiting(t);
  opened.tree.rename(root, "a", opened.makeFolder(root, "folder"), "c", 0);
  assert.equal(read(opened, handle), "of a");
  const { node } = opened.tree.lookup(root, "b");
  const other = opened.tree.open(node, 0);
  opened.makeFile(root, "d", "of d");
  opened.tree.rename(root, "b", root, "d", 2);
  assert.equal(read(opened, other), "of b");
});

test("of a file with two names, the one it was opened by can go before it is read", (t) => {
  const opened = prepared(t);
  opened.tree.link(opened.tree.lookup(root, "a").node, root, "c");
  opened.close();
  const { node } = opened.tree.lookup(root, "a");
  const handle = opened.tree.open(node, 0);
  opened.tree.unlink(root, "a");
  assert.equal(read(opened, handle), "of a");
  opened.tree.release(handle);
  assert.equal(opened.read(root, "c"), "of a");
});

test("what others write, cut off and set between the opening and the reading is seen", (t) => {
  const { opened, node, handle } = waiting(t);
  const { tree } = opened;
  const writer = tree.open(node, readWrite);
  tree.write(writer, 4, Buffer.from(", longer"));
  assert.equal(read(opened, handle), "of a, longer");
  tree.release(writer);
  tree.release(handle);
  opened.close();
  const { node: again } = opened.tree.lookup(root, "a");
  const second = opened.tree.open(again, 0);
  opened.tree.setAttributes(again, { size: 2 }, undefined);
  opened.tree.setAttributes(again, { mode: 0o600 }, second);
  assert.equal(read(opened, second), "of");
});

test("a waiting handle can be synced and asked for its data, and cannot be written", (t) => {
  const { opened, handle } = waiting(t);
  assert.equal(
    callsDuring(t, () => opened.tree.sync(handle, false)).some((name) => name === "fsync"),
    true,
  );
  opened.close();
  const second = opened.tree.open(opened.tree.lookup(root, "a").node, 0);
  assert.equal(opened.tree.seek(second, 0, seekData), 0);
  assert.throws(() => opened.tree.write(second, 0, Buffer.from("x")), failsWith("EBADF"));
});

test("a file that is damaged before it is looked up answers EIO when it is opened", (t) => {
  const opened = prepared(t);
  damage(opened.backingPath("a"));
  const { node } = opened.tree.lookup(root, "a");
  assert.throws(() => opened.tree.open(node, 0), failsWith("EIO"));
});

test("a file that is damaged or replaced after it was looked up answers EIO when it is read, each time, and can be removed", (t) => {
  const { opened, handle } = waiting(t);
  const replaced = opened.tree.open(opened.tree.lookup(root, "b").node, 0);
  damage(opened.backingPath("a"));
  const b = opened.backingPath("b");
  copyFileSync(b, `${b}x`);
  renameSync(`${b}x`, b);
  for (const one of [handle, handle, replaced, replaced])
    assert.throws(() => opened.tree.read(one, 0, Buffer.alloc(10)), failsWith("EIO"));
  opened.tree.unlink(root, "a");
  assert.throws(() => opened.tree.read(handle, 0, Buffer.alloc(10)), failsWith("EIO"));
  opened.tree.release(handle);
  opened.tree.release(replaced);
});

test("a removal fails when a waiting file cannot be opened for another reason than damage", (t) => {
  const { opened, handle } = waiting(t);
  const { tree } = opened;
  opened.tree.lookup(root, "a");
  observeSystemCalls((name) => {
    if (name === "pread") throw Object.assign(new RangeError("no memory"), { name });
  });
  t.after(() => observeSystemCalls(undefined));
  assert.throws(() => tree.unlink(root, "a"), RangeError);
  observeSystemCalls(undefined);
  assert.equal(read(opened, handle), "of a");
  assert.equal(opened.read(root, "a"), "of a");
});

test("handles that wait count as open files, and leave no descriptor behind", (t) => {
  const opened = prepared(t);
  opened.descriptors = 200;
  const { contents } = new DescriptorBudget(200);
  for (let number = 0; number <= contents; number += 1) opened.makeFile(root, `file ${number}`, "x");
  opened.close();
  const before = readdirSync("/proc/self/fd").length;
  const { tree } = opened;
  const nodes = Array.from({ length: contents + 1 }, (_, number) => tree.lookup(root, `file ${number}`).node);
  const handles = nodes.slice(1).map((node) => tree.open(node, 0));
  const [first = 0, second = 0] = nodes;
  assert.throws(() => tree.open(first, 0), failsWith("ENFILE"));
  handles.push(tree.open(second, 0));
  for (const handle of handles) assert.equal(read(opened, handle), "x");
  for (const handle of handles) tree.release(handle);
  tree.release(tree.open(first, 0));
  opened.close();
  assert.equal(readdirSync("/proc/self/fd").length <= before, true);
});

test("files that are looked up are opened at once while reading follows, and no more when it does not", (t) => {
  const opened = prepared(t);
  for (const name of ["c", "d", "e"]) opened.makeFile(root, name, `of ${name}`);
  opened.close();
  const { tree } = opened;
  // Heads that are read for the size alone are closed again.
  const opensWhole = (name: string) => !callsDuring(t, () => void tree.lookup(root, name)).includes("close");
  assert.equal(opensWhole("a"), false);
  assert.equal(opened.read(root, "a"), "of a");
  assert.equal(opensWhole("b"), true);
  assert.equal(opened.read(root, "b"), "of b");
  assert.equal(opensWhole("c"), true);
  assert.equal(opensWhole("d"), false, "c was not read");
  assert.equal(opened.read(root, "d"), "of d");
  assert.equal(opensWhole("e"), true);
});
