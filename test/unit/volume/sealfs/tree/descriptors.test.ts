import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { DescriptorBudget } from "../../../../../src/volume/sealfs/tree/descriptor-budget.ts";
import { failsWith, nobody, OpenedTree, root } from "./opened-tree.ts";

test("programs that open as many files as they can get ENFILE, and take nothing from other requests", (t) => {
  const opened = new OpenedTree(t);
  opened.descriptors = 300;
  const { tree } = opened;
  const { contents } = new DescriptorBudget(300);
  const before = readdirSync("/proc/self/fd").length;
  const nodes = Array.from({ length: contents + 20 }, (_, number) => opened.makeFile(root, `file ${number}`, "x"));
  const handles = nodes.slice(0, contents).map((node) => tree.open(node, 0));
  const last = nodes.at(-1) ?? 0;
  assert.throws(() => tree.open(last, 0), failsWith("ENFILE"));
  assert.throws(() => tree.create(root, "one more", 0o644, 2, nobody), failsWith("ENFILE"));
  assert.deepEqual(opened.list(root).includes("one more"), false);
  for (const node of nodes) assert.equal(tree.getAttributes(node, undefined).size, 1);
  const folder = opened.makeFolder(root, "folder");
  tree.rename(root, "file 0", folder, "moved", 0);
  tree.syncDirectory(tree.openDirectory(folder));
  tree.setAttributes(last, { mode: 0o600 }, undefined);
  tree.setExtendedAttribute(last, "user.x", Buffer.from("y"), 0);
  assert.equal(readdirSync("/proc/self/fd").length - before < 300, true);
  const [first = 0] = handles;
  tree.release(first);
  tree.release(tree.open(last, 0));
  for (const handle of handles.slice(1)) tree.release(handle);
  opened.close();
  assert.equal(readdirSync("/proc/self/fd").length <= before, true);
});

test("a thousand removed files that the kernel still knows hold few descriptors, and none once they are forgotten", (t) => {
  const opened = new OpenedTree(t);
  opened.descriptors = 300;
  const { tree } = opened;
  const { removed, idle } = new DescriptorBudget(300);
  const before = readdirSync("/proc/self/fd").length;
  const nodes = Array.from({ length: 1000 }, (_, number) => opened.makeFile(root, `file ${number}`));
  for (const [number] of nodes.entries()) tree.unlink(root, `file ${number}`);
  assert.equal(readdirSync("/proc/self/fd").length - before <= removed + idle + 2, true);
  for (const node of nodes) assert.equal(tree.getAttributes(node, undefined).links, 0);
  for (const node of nodes) tree.forget(node, 10);
  assert.equal(readdirSync("/proc/self/fd").length - before <= 2, true);
});

test("a process that may open few files shares them out all the same", () => {
  for (const allowed of [0, 64, 256, 1024, 20_000, 1_048_576]) {
    const { folders, removed, contents, idle } = new DescriptorBudget(allowed);
    assert.equal(
      [folders, removed, contents, idle].every((share) => share >= 16),
      true,
    );
    if (allowed >= 256) assert.equal(folders + removed + contents <= allowed - 64, true);
    assert.equal(idle <= contents, true);
  }
});
