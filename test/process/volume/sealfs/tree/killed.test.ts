import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { scaled } from "../../../../run-settings.ts";
import { ServedTree, whyNoMount } from "./served-tree.ts";

const rounds = scaled(100);

/**
 * Runs in a thread until the file system dies: writes files whose names say what is in them, renames, replaces and removes them;
 * each name that was synced, file and folder, is told.
 */
const writer = `
const fs = require("node:fs");
const { createHash, randomBytes, randomInt } = require("node:crypto");
const { parentPort, workerData } = require("node:worker_threads");
const { folder } = workerData;
try {
  for (let count = 0; ; count += 1) {
    const content = randomBytes(randomInt(20_000));
    const name = createHash("sha256").update(content).digest("hex") + (count % 3 === 0 ? "-".repeat(180) : "");
    const descriptor = fs.openSync(folder + "/new", "w");
    fs.writeSync(descriptor, content);
    fs.fsyncSync(descriptor);
    fs.closeSync(descriptor);
    fs.renameSync(folder + "/new", folder + "/" + name);
    parentPort.postMessage(name);
    fs.writeFileSync(folder + "/current", content);
    fs.renameSync(folder + "/current", folder + "/replaced");
  }
} catch {
  // The file system is gone.
}
`;

test("a sealed tree is sound and has every synced file after its server was killed at any time", {
  skip: whyNoMount(),
}, async (t) => {
  const served = new ServedTree(t, "plain", 512);
  const promised = new Set<string>();
  for (let round = 0; round < rounds; round += 1) {
    await served.start("unclean");
    checkTree(served.mounted, promised);
    const worker = new Worker(writer, { eval: true, workerData: { folder: served.mounted } });
    worker.on("message", (name: string) => promised.add(name));
    const ended = once(worker, "exit");
    // What is killed before a first file tells nothing.
    await Promise.race([once(worker, "message"), ended]);
    await pause(100 + (randomBytes(1)[0] ?? 0));
    await served.kill();
    await ended;
  }
  await served.start("unclean");
  checkTree(served.mounted, promised);
  assert.equal(promised.size >= rounds, true);
  await served.stop();
  assert.doesNotMatch(served.output, /fault|entry-damaged|name-damaged|inode-replaced|entry-missing/);
});

/** Every entry can be listed, looked at and read; what was promised is there with its own content. */
function checkTree(folder: string, promised: ReadonlySet<string>): void {
  const found = new Set(fs.readdirSync(folder));
  for (const name of found) {
    const content = fs.readFileSync(join(folder, name));
    if (!promised.has(name)) continue;
    assert.equal(createHash("sha256").update(content).digest("hex"), name.slice(0, 64));
  }
  for (const name of promised) assert.equal(found.has(name), true, name);
}
