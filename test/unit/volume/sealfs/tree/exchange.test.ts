import assert from "node:assert/strict";
import { copyFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, type TestContext, test } from "node:test";
import { renameFlags } from "../../../../../src/volume/sealfs/file-system.ts";
import { FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import { observeSystemCalls } from "../../../../../src/volume/sealfs/system/calls.ts";
import { failsWith, OpenedTree, root } from "./opened-tree.ts";

afterEach(() => observeSystemCalls(undefined));

function twoFiles(t: TestContext): OpenedTree {
  const opened = new OpenedTree(t);
  opened.makeFile(root, "a", "of a");
  opened.makeFile(opened.makeFolder(root, "folder"), "b", "of b");
  return opened;
}

const folderOf = (opened: OpenedTree): number => opened.tree.lookup(root, "folder").node;

/** An exchange of which one rename fails, the intent's own being the first. */
function exchangeThatFails(opened: OpenedTree, failing: number): void {
  const folder = folderOf(opened);
  let renames = 0;
  observeSystemCalls((name) => {
    if (name !== "renameat2") return;
    renames += 1;
    if (renames === failing) throw new FsError("ENOSPC", "no room");
  });
  assert.throws(() => opened.tree.rename(root, "a", folder, "b", renameFlags.exchange), failsWith("ENOSPC"));
  observeSystemCalls(undefined);
}

function assertAsBefore(opened: OpenedTree): void {
  assert.equal(opened.read(root, "a"), "of a");
  assert.equal(opened.read(folderOf(opened), "b"), "of b");
  assert.deepEqual(opened.list(root).sort(), ["a", "folder"]);
}

for (const [failing, which] of [
  [2, "first"],
  [3, "second"],
] as const)
  test(`an exchange whose ${which} rename fails has not happened, and happens at no later opening`, (t) => {
    const opened = twoFiles(t);
    exchangeThatFails(opened, failing);
    assertAsBefore(opened);
    assert.equal(readdirSync(opened.folder).includes(".exchange"), false);
    opened.abandon();
    opened.afterCrash = true;
    assertAsBefore(opened);
    opened.tree.rename(root, "a", folderOf(opened), "b", renameFlags.exchange);
    assert.equal(opened.read(root, "a"), "of b");
    assert.deepEqual(opened.events, []);
  });

test("the intent of an exchange that is put back later does nothing, crash or not", (t) => {
  const opened = twoFiles(t);
  const intent = join(opened.folder, ".exchange");
  const kept = join(opened.folder, "..", "kept");
  observeSystemCalls((name) => {
    if (name === "renameat2" && readdirSync(opened.folder).includes(".exchange")) copyFileSync(intent, kept);
  });
  opened.tree.rename(root, "a", folderOf(opened), "b", renameFlags.exchange);
  observeSystemCalls(undefined);
  for (const afterCrash of [false, true]) {
    opened.close();
    copyFileSync(kept, intent);
    opened.afterCrash = afterCrash;
    assert.equal(opened.read(root, "a"), "of b");
    assert.equal(opened.read(folderOf(opened), "b"), "of a");
    assert.equal(readdirSync(opened.folder).includes(".exchange"), false);
  }
  assert.deepEqual(opened.eventKinds(), ["exchange-dropped", "exchange-finished"]);
});

test("the intent of an exchange that could be carried out is not, unless a crash came", (t) => {
  const opened = twoFiles(t);
  const kept = join(opened.folder, "..", "kept");
  observeSystemCalls((name) => {
    if (name !== "renameat2" || !readdirSync(opened.folder).includes(".exchange")) return;
    copyFileSync(join(opened.folder, ".exchange"), kept);
    throw new FsError("ENOSPC", "no room");
  });
  const folder = folderOf(opened);
  assert.throws(() => opened.tree.rename(root, "a", folder, "b", renameFlags.exchange), failsWith("ENOSPC"));
  observeSystemCalls(undefined);
  opened.close();
  copyFileSync(kept, join(opened.folder, ".exchange"));
  assertAsBefore(opened);
  assert.deepEqual(opened.eventKinds(), ["exchange-dropped"]);
});
