import assert from "node:assert/strict";
import {
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { SealedContents } from "../../../../../src/volume/sealfs/server/sealed-contents.ts";
import { openFolder } from "../../../../../src/volume/sealfs/system/backing-folder.ts";
import { at, fileType } from "../../../../../src/volume/sealfs/system/calls.ts";
import { listAttributes, setAttribute } from "../../../../../src/volume/sealfs/system/extended-attributes.ts";
import { EntryNames } from "../../../../../src/volume/sealfs/tree/entry-names.ts";
import { failsWith, nobody, OpenedTree, root } from "./opened-tree.ts";
import { TestKeys } from "./test-keys.ts";

const layout = { blockBytes: 4096, integrity: "blocks" } as const;

/** Two files and a folder with one, sealed, closed in order: what somebody with the backing folder then does is seen at the next opening. */
function prepared(t: TestContext, keys = new TestKeys("plain")): OpenedTree {
  const damage = (fileId: Buffer, detail: string): void =>
    void opened.events.push({ kind: "content-damaged", fileId: fileId.toString("base64url"), detail });
  const opened: OpenedTree = new OpenedTree(t, keys, new SealedContents(layout, true, damage));
  opened.makeFile(root, "a", "of a");
  opened.makeFile(root, "b", "of b");
  opened.makeFile(opened.makeFolder(root, "folder"), "inner", "of inner");
  opened.close();
  return opened;
}

const folderOf = (opened: OpenedTree): number => opened.tree.lookup(root, "folder").node;

test("an entry whose name has any one character changed answers EIO, and takes nothing of its name", (t) => {
  const opened = prepared(t);
  const whole = opened.backingName("a");
  for (let place = 2; place < whole.length; place += 1) {
    const flipped = whole.slice(0, place) + (whole[place] === "A" ? "B" : "A") + whole.slice(place + 1);
    renameSync(join(opened.folder, whole), join(opened.folder, flipped));
    assert.throws(() => opened.tree.lookup(root, "a"), failsWith("EIO"), flipped);
    assert.throws(() => opened.makeFile(root, "a"), failsWith("EIO"));
    assert.throws(() => opened.tree.rename(root, "b", root, "a", 0), failsWith("EIO"));
    assert.throws(() => opened.tree.unlink(root, "a"), failsWith("EIO"));
    assert.deepEqual(opened.eventKinds(), ["entry-damaged"]);
    assert.equal(opened.read(root, "b"), "of b");
    renameSync(join(opened.folder, flipped), join(opened.folder, whole));
    opened.close();
    opened.events.length = 0;
  }
  assert.equal(opened.read(root, "a"), "of a");
});

test("a folder with a damaged entry lists the others, and ends in EIO", (t) => {
  const opened = prepared(t);
  renameSync(opened.backingPath("a"), `${opened.backingPath("a").slice(0, -1)}${"_"}`);
  const handle = opened.tree.openDirectory(root);
  const names: string[] = [];
  let end = 0;
  opened.tree.readDirectory(handle, 0, ({ name, next }) => {
    names.push(name);
    end = next;
    return true;
  });
  assert.deepEqual(names.sort(), [".", "..", "b", "folder"]);
  assert.throws(() => opened.tree.readDirectory(handle, end, () => true), failsWith("EIO"));
  opened.tree.releaseDirectory(handle);
});

test("two entries whose shown names are swapped answer EIO both", (t) => {
  const opened = prepared(t);
  const [a, b] = [opened.backingName("a"), opened.backingName("b")];
  renameSync(join(opened.folder, a), join(opened.folder, `b${a.slice(1)}`));
  renameSync(join(opened.folder, b), join(opened.folder, `a${b.slice(1)}`));
  for (const name of ["a", "b"]) assert.throws(() => opened.tree.lookup(root, name), failsWith("EIO"));
  assert.deepEqual(opened.eventKinds(), ["entry-damaged", "entry-damaged"]);
});

test("files whose contents are swapped under their names are not opened", (t) => {
  const opened = prepared(t);
  const [a, b] = [opened.backingPath("a"), opened.backingPath("b")];
  renameSync(a, `${a}x`);
  renameSync(b, a);
  renameSync(`${a}x`, b);
  for (const name of ["a", "b"]) assert.throws(() => opened.read(root, name), failsWith("EIO"));
  assert.equal(opened.eventKinds().includes("content-damaged"), true);
});

test("an entry that is moved or copied into another folder is none of it", (t) => {
  const opened = prepared(t);
  const within = opened.backingName("folder");
  const name = opened.backingName("a");
  copyFileSync(join(opened.folder, name), join(opened.folder, within, name));
  assert.throws(() => opened.tree.lookup(folderOf(opened), "a"), failsWith("EIO"));
  assert.equal(opened.read(root, "a"), "of a");
  const inner = basename(opened.backingName("inner", within));
  renameSync(join(opened.folder, within, inner), join(opened.folder, inner));
  opened.reopen();
  assert.throws(() => opened.tree.lookup(root, "inner"), failsWith("EIO"));
  // Of what the folder holds nothing is its own, so it may be another: no name is taken for one that is not there.
  assert.throws(() => opened.tree.lookup(folderOf(opened), "inner"), failsWith("EIO"));
});

test("a folder that takes another's place shows none of its entries", (t) => {
  const opened = prepared(t);
  opened.makeFile(opened.makeFolder(root, "other"), "inner", "of the other");
  opened.close();
  const [folder, other] = [opened.backingPath("folder"), opened.backingPath("other")];
  renameSync(folder, `${folder}x`);
  renameSync(other, folder);
  renameSync(`${folder}x`, other);
  for (const name of ["folder", "other"])
    assert.throws(() => opened.tree.lookup(opened.tree.lookup(root, name).node, "inner"), failsWith("EIO"));
});

test("an entry that becomes another type of file answers EIO", (t) => {
  const opened = prepared(t);
  const a = opened.backingPath("a");
  unlinkSync(a);
  mkdirSync(a);
  assert.throws(() => opened.tree.lookup(root, "a"), failsWith("EIO"));
  opened.tree.lookup(root, "b");
  const b = opened.backingPath("b");
  unlinkSync(b);
  symlinkSync("elsewhere", b);
  assert.throws(() => opened.tree.lookup(root, "b"), failsWith("EIO"));
  assert.deepEqual(opened.eventKinds(), ["entry-damaged", "inode-replaced"]);
});

test("a file or folder that is replaced or taken away while the tree is in use answers EIO", (t) => {
  const opened = prepared(t);
  opened.tree.lookup(root, "a");
  const folder = folderOf(opened);
  const a = opened.backingPath("a");
  copyFileSync(a, `${a}x`);
  renameSync(`${a}x`, a);
  assert.throws(() => opened.tree.lookup(root, "a"), failsWith("EIO"));
  const within = opened.backingPath("folder");
  cpSync(within, `${within}x`, { recursive: true });
  renameSync(within, `${within}y`);
  renameSync(`${within}x`, within);
  assert.throws(() => opened.tree.lookup(root, "folder"), failsWith("EIO"));
  assert.throws(() => opened.tree.lookup(folder, "inner"), failsWith("EIO"));
  unlinkSync(opened.backingPath("b"));
  assert.throws(() => opened.tree.lookup(root, "b"), failsWith("EIO"));
  assert.equal(opened.eventKinds().includes("inode-replaced"), true);
  assert.equal(opened.eventKinds().includes("entry-missing"), true);
});

test("two names of one file that lead to different files answer EIO", (t) => {
  const opened = prepared(t);
  opened.tree.link(opened.tree.lookup(root, "a").node, root, "c");
  opened.close();
  const c = opened.backingPath("c");
  copyFileSync(c, `${c}x`);
  renameSync(`${c}x`, c);
  opened.tree.lookup(root, "a");
  assert.throws(() => opened.tree.lookup(root, "c"), failsWith("EIO"));
});

/** Beside its present entry of a name a folder has an older one again, as somebody would put it back. */
function withOldEntryPutBack(t: TestContext): { opened: OpenedTree; old: string; current: string } {
  const opened = prepared(t);
  const old = opened.backingPath("b");
  linkSync(old, join(opened.folder, "kept"));
  opened.tree.unlink(root, "b");
  opened.makeFile(root, "b", "current");
  opened.close();
  const current = opened.backingPath("b");
  renameSync(join(opened.folder, "kept"), old);
  opened.events.length = 0;
  return { opened, old, current };
}

test("an older entry that is put back beside the present one takes neither its name nor its file", (t) => {
  const { opened, old, current } = withOldEntryPutBack(t);
  assert.throws(() => opened.tree.lookup(root, "b"), failsWith("EIO"));
  assert.throws(() => opened.makeFile(root, "b"), failsWith("EIO"));
  assert.deepEqual(opened.eventKinds(), ["entry-repeated"]);
  assert.equal(opened.read(root, "a"), "of a");
  opened.close();
  for (const path of [old, current]) assert.equal(existsSync(path), true);
  unlinkSync(old);
  assert.equal(opened.read(root, "b"), "current");
});

test("after a crash, too, an older entry that is put back loses against the present one", (t) => {
  const { opened, old, current } = withOldEntryPutBack(t);
  opened.afterCrash = true;
  assert.equal(opened.read(root, "b"), "current");
  assert.deepEqual(opened.eventKinds(), ["entry-finished"]);
  assert.deepEqual([existsSync(old), existsSync(current)], [false, true]);
});

test("of two hand-made entries with one name and one sequence neither is believed, even after a crash", (t) => {
  const keys = new TestKeys("plain");
  const opened = new OpenedTree(t, keys);
  const names = new EntryNames(keys);
  const { zoneId } = keys.zoneOf([]);
  for (const id of [1, 2]) {
    const fileId = Buffer.alloc(16, id);
    const entry = { shown: "twice", fileId: fileId.toString("base64url"), sequence: 5n };
    writeFileSync(join(opened.folder, names.entryName(keys.rootId, zoneId, fileType.regular, entry)), fileId);
  }
  for (const afterCrash of [false, true]) {
    opened.afterCrash = afterCrash;
    assert.throws(() => opened.tree.lookup(root, "twice"), failsWith("EIO"));
    opened.close();
    assert.equal(readdirSync(opened.folder).length, 2);
  }
  assert.deepEqual(opened.eventKinds(), ["entry-repeated", "entry-repeated"]);
});

test("a long name whose file is altered, missing or another folder's answers EIO", (t) => {
  const long = "l".repeat(255);
  const damages: readonly ((sidecar: string, folder: string) => void)[] = [
    (sidecar) => unlinkSync(sidecar),
    (sidecar) => truncateSync(sidecar, 40),
    (sidecar) => truncateSync(sidecar, 0),
    (sidecar) => {
      const bytes = readFileSync(sidecar);
      bytes[30] = (bytes[30] ?? 0) ^ 1;
      writeFileSync(sidecar, bytes);
    },
    (sidecar) => writeFileSync(sidecar, Buffer.alloc(600, 1)),
  ];
  for (const damage of damages) {
    const opened = prepared(t);
    opened.makeFile(root, long, "of long");
    opened.close();
    const sidecar = readdirSync(opened.folder).find((name) => name.endsWith("~name")) ?? "";
    damage(join(opened.folder, sidecar), opened.folder);
    assert.throws(() => opened.tree.lookup(root, long), failsWith("EIO"));
    assert.throws(() => opened.makeFile(root, long), failsWith("EIO"));
    assert.deepEqual(opened.eventKinds(), ["name-damaged"]);
  }
});

test("a link's target that is altered or another link's answers EIO", (t) => {
  const opened = prepared(t);
  opened.tree.makeSymlink(root, "one", Buffer.from("target one"), nobody);
  opened.tree.makeSymlink(root, "two", Buffer.from("target two"), nobody);
  opened.close();
  const [one, two] = [opened.backingPath("one"), opened.backingPath("two")];
  for (const target of [readlinkSync(two), "plain", `${readlinkSync(one)}AAAA`, "!"]) {
    unlinkSync(one);
    symlinkSync(target, one);
    const { node } = opened.tree.lookup(root, "one");
    assert.throws(() => opened.tree.readLink(node), failsWith("EIO"));
    opened.close();
  }
  assert.equal(opened.tree.readLink(opened.tree.lookup(root, "two").node).toString(), "target two");
});

test("a file that was cut to nothing after an orderly end is damaged, can be looked at and removed, but not opened", (t) => {
  const opened = prepared(t);
  truncateSync(opened.backingPath("a"), 0);
  const { node } = opened.tree.lookup(root, "a");
  assert.throws(() => opened.tree.open(node, 0), failsWith("EIO"));
  assert.throws(() => opened.tree.setAttributes(node, { size: 0 }, undefined), failsWith("EIO"));
  opened.tree.unlink(root, "a");
  assert.throws(() => opened.tree.lookup(root, "a"), failsWith("ENOENT"));
});

test("files that are not the file system's are reported, left alone and keep their folder", (t) => {
  const opened = prepared(t);
  writeFileSync(join(opened.backingPath("folder"), "a stranger's"), "x");
  const folder = folderOf(opened);
  assert.deepEqual(opened.list(folder), ["inner"]);
  opened.tree.unlink(folder, "inner");
  assert.throws(() => opened.tree.removeDirectory(root, "folder"), failsWith("ENOTEMPTY"));
  assert.deepEqual(opened.eventKinds(), ["stray-file"]);
});

test("under other keys nothing of the tree is shown", (t) => {
  const opened = prepared(t);
  const foreign = new OpenedTree(t, new TestKeys("plain", [], Buffer.alloc(32, 9)));
  cpSync(opened.folder, foreign.folder, { recursive: true });
  for (const name of ["a", "b", "folder"]) assert.throws(() => foreign.tree.lookup(root, name), failsWith("EIO"));
});

test("an intent of an exchange that is altered keeps the tree from being opened", (t) => {
  const opened = prepared(t);
  for (const content of [Buffer.alloc(0), Buffer.from("[]"), Buffer.alloc(2_000_000)]) {
    writeFileSync(join(opened.folder, ".exchange"), content);
    assert.throws(() => opened.tree, failsWith("EIO"));
  }
});

test("an extended attribute that is altered or another's answers EIO", (t) => {
  const opened = prepared(t);
  const { node } = opened.tree.lookup(root, "a");
  opened.tree.setExtendedAttribute(node, "user.x", Buffer.from("value"), 0);
  const other = opened.tree.lookup(root, "b").node;
  opened.tree.setExtendedAttribute(other, "user.x", Buffer.from("other"), 0);
  opened.close();
  const path = opened.backingPath("a");
  const [key = ""] = attributesOf(path);
  for (const value of [Buffer.alloc(0), Buffer.alloc(10), Buffer.alloc(60, 7)]) {
    setBackingAttribute(path, key, value);
    const { node: again } = opened.tree.lookup(root, "a");
    assert.throws(() => opened.tree.getExtendedAttribute(again, "user.x"), failsWith("EIO"));
    assert.throws(() => opened.tree.listExtendedAttributes(again), failsWith("EIO"));
    opened.close();
  }
});

const placeOf = (path: string) => ({ folder: openFolder(at.currentFolder, dirname(path)), name: basename(path) });

function attributesOf(path: string): string[] {
  return listAttributes(placeOf(path));
}

function setBackingAttribute(path: string, key: string, value: Buffer): void {
  setAttribute(placeOf(path), key, value, 0);
}
