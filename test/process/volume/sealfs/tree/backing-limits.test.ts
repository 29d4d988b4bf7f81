import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ServedTree, whyNoMount } from "./served-tree.ts";

const skip = whyNoMount();
const fails = (code: string) => (error: unknown) => (error as NodeJS.ErrnoException).code === code;

test("a full backing folder gives ENOSPC, loses nothing, and goes on when there is room", { skip }, async (t) => {
  const served = new ServedTree(t, "plain", 4);
  await served.start("clean");
  const path = (name: string): string => join(served.mounted, name);
  const kept = Buffer.alloc(1_000_000, "kept");
  fs.writeFileSync(path("kept"), kept, { flush: true });
  assert.throws(() => {
    for (let count = 0; count < 100; count += 1)
      fs.writeFileSync(path(`filler ${count}`), Buffer.alloc(100_000, count), { flush: true });
  }, fails("ENOSPC"));
  assert.throws(() => fs.writeFileSync(path("too much"), Buffer.alloc(1_000_000), { flush: true }), fails("ENOSPC"));
  assert.deepEqual(fs.readFileSync(path("kept")), kept);
  for (const name of fs.readdirSync(served.mounted)) if (name !== "kept") fs.unlinkSync(path(name));
  fs.writeFileSync(path("again"), kept, { flush: true });
  await served.stop();
  await served.start("clean");
  assert.deepEqual(fs.readFileSync(path("kept")), kept);
  assert.deepEqual(fs.readFileSync(path("again")), kept);
  await served.stop();
  assert.doesNotMatch(served.output, /event|fault/);
});

test("a backing folder that can only be read is shown, and each change answers EROFS", { skip }, async (t) => {
  const served = new ServedTree(t, "encrypted", 4);
  await served.start("clean");
  const path = (name: string): string => join(served.mounted, name);
  fs.mkdirSync(path("folder"));
  fs.writeFileSync(path("file"), "content");
  fs.symlinkSync("file", path("link"));
  await served.stop();
  served.remountMemory("ro");
  await served.start("clean");
  assert.deepEqual(fs.readdirSync(served.mounted).sort(), ["file", "folder", "link"]);
  assert.equal(fs.readFileSync(path("link"), "utf8"), "content");
  const changes: readonly (() => void)[] = [
    () => fs.writeFileSync(path("new"), "x"),
    () => fs.mkdirSync(path("new")),
    () => fs.symlinkSync("x", path("new")),
    () => fs.linkSync(path("file"), path("new")),
    () => fs.unlinkSync(path("file")),
    () => fs.rmdirSync(path("folder")),
    () => fs.renameSync(path("file"), path("new")),
    () => fs.chmodSync(path("file"), 0o600),
    () => fs.chownSync(path("file"), 1, 1),
    () => fs.utimesSync(path("file"), 1, 1),
    () => fs.writeFileSync(path("n".repeat(255)), "x"),
  ];
  for (const change of changes) assert.throws(change, fails("EROFS"));
  assert.throws(() => fs.truncateSync(path("file"), 1), fails("EROFS"));
  assert.equal(fs.readFileSync(path("file"), "utf8"), "content");
  await served.stop();
  served.remountMemory("rw");
  assert.doesNotMatch(served.output, /fault/);
});

test("ten thousand files are made, listed with their sizes, and removed", { skip }, async (t) => {
  const served = new ServedTree(t, "plain", 512);
  await served.start("clean");
  const folder = join(served.mounted, "many");
  fs.mkdirSync(folder);
  const count = 10_000;
  for (let number = 0; number < count; number += 1)
    fs.writeFileSync(join(folder, `${number}`), "x".repeat(number % 50));
  await served.stop();
  await served.start("clean");
  const names = fs.readdirSync(folder);
  assert.equal(new Set(names).size, count);
  for (const name of names) assert.equal(fs.statSync(join(folder, name)).size, Number(name) % 50);
  fs.rmSync(folder, { recursive: true });
  assert.deepEqual(fs.readdirSync(served.mounted), []);
  await served.stop();
  assert.deepEqual(fs.readdirSync(served.backing), []);
  assert.doesNotMatch(served.output, /event|fault/);
});
