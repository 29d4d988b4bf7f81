import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { mountAt } from "../../../../../src/volume/mounts.ts";
import { mountType, unmountFuseServer } from "../../../../../src/volume/sealfs/kernel/mount.ts";
import { loadKernelCalls } from "../../../../../src/volume/sealfs/kernel/system-calls.ts";
import { scaled, seed } from "../../../../run-settings.ts";
import { fileBehaviours } from "../../../../sealfs/behaviours/files.ts";
import { folderBehaviours } from "../../../../sealfs/behaviours/folders.ts";
import { compareFolders } from "../../../../sealfs/compare/compare-folders.ts";
import { ServedFolder, whyNoFuse } from "../../../../sealfs/memory/served-folder.ts";

const calls = await loadKernelCalls();
/** The kernel does not wait for RELEASE: the last handles may be open at the end. */
const endedWithoutFault = /^unmounted, \d+ handles\n$/;
const skip = whyNoFuse();
const noTmpfs = fs.existsSync("/dev/shm") && mountAt("/dev/shm")?.type === "tmpfs" ? false : "no tmpfs at /dev/shm";

describe("a file system behind the kernel protocol", { skip }, () => {
  let served: ServedFolder;
  before(async () => {
    served = await ServedFolder.start();
  });
  after(async () => {
    assert.match(await served.stop(), endedWithoutFault);
  });

  for (const [index, { name, run }] of [...folderBehaviours, ...fileBehaviours].entries())
    test(name, () => {
      const folder = join(served.path, `behaviour-${index}`);
      fs.mkdirSync(folder);
      run(folder);
      fs.rmSync(folder, { recursive: true });
    });

  test(`random operations give what they give on tmpfs (seed ${seed})`, { skip: noTmpfs }, async () => {
    const believed = fs.mkdtempSync("/dev/shm/strongroom-believed-");
    const tested = join(served.path, "compared");
    fs.mkdirSync(tested);
    for (const folder of [believed, tested]) fs.chmodSync(folder, 0o755);
    try {
      const outcomes = await compareFolders(believed, tested, { seed, operations: scaled(100_000) });
      assert.ok(outcomes.size > 60, `only ${outcomes.size} outcomes were seen`);
    } finally {
      fs.rmSync(believed, { recursive: true });
      fs.rmSync(tested, { recursive: true });
    }
  });
});

test("the mount says what it is, lets nobody set ids and no devices through", { skip }, async () => {
  const served = await ServedFolder.start();
  try {
    assert.deepEqual(mountAt(served.path), { mountPoint: served.path, type: mountType, source: "memory" });
    const line = fs
      .readFileSync("/proc/self/mounts", "utf8")
      .split("\n")
      .find((text) => text.includes(served.path));
    for (const option of ["nosuid", "nodev", "default_permissions", "allow_other"])
      assert.match(line ?? "", RegExp(option));
  } finally {
    assert.match(await served.stop(), endedWithoutFault);
  }
});

test("a mount that is in use is not unmounted, unless at once", { skip }, async () => {
  const served = await ServedFolder.start();
  const descriptor = fs.openSync(join(served.path, "f"), "w");
  assert.equal(unmountFuseServer(calls, served.path, "whenIdle"), false);
  assert.notEqual(mountAt(served.path), undefined);
  assert.equal(unmountFuseServer(calls, served.path, "atOnce"), true);
  assert.equal(mountAt(served.path), undefined);
  fs.writeSync(descriptor, "still served");
  assert.equal(served.process.exitCode, null);
  const ended = once(served.process, "exit");
  fs.closeSync(descriptor);
  assert.deepEqual(await ended, [0, null]);
  assert.equal(
    unmountFuseServer(calls, served.path, "whenIdle"),
    true,
    "nothing is mounted, which is what was asked for",
  );
  await served.stop();
});

test("a server that is killed leaves ENOTCONN, not a hang, and the mount can be taken away", { skip }, async () => {
  const served = await ServedFolder.start();
  const descriptor = fs.openSync(join(served.path, "f"), "w+");
  const ended = once(served.process, "exit");
  served.process.kill("SIGKILL");
  await ended;
  assert.throws(() => fs.readdirSync(served.path), { code: "ENOTCONN" });
  assert.throws(() => fs.fsyncSync(descriptor), { code: "ENOTCONN" });
  assert.throws(() => fs.closeSync(descriptor), { code: "ENOTCONN" });
  await served.stop();
  assert.equal(mountAt(served.path), undefined);
});

test("a server whose control is closed stops serving", { skip }, async () => {
  const served = await ServedFolder.start();
  fs.writeFileSync(join(served.path, "f"), "x");
  const ended = once(served.process, "exit");
  served.process.stdin?.end();
  assert.deepEqual(await ended, [0, null]);
  assert.match(await served.stop(), /^stopped, \d+ handles\n$/);
});

test("a mount in a user namespace serves a user without rights", { skip }, () => {
  const program = join(import.meta.dirname, "../../../../sealfs/memory/serve.ts");
  // The server, in the background, is a child of the shell: the shell waits for it, so nothing is left behind.
  const script = `set -e
    folder=$(mktemp -d); chmod 755 "$folder"
    mkfifo "$folder.control"; mkdir -p "$folder"
    "$0" "$1" "$folder" < "$folder.control" > "$folder.log" & exec 9> "$folder.control"
    for attempt in $(seq 400); do grep -q serving "$folder.log" && break; sleep 0.05; done
    echo inside > "$folder/f"; cat "$folder/f"; stat -f -c %T "$folder"
    umount "$folder"; wait; tail -1 "$folder.log"
    rm -r "$folder" "$folder.control" "$folder.log"`;
  const result = spawnSync("unshare", ["-Urm", "sh", "-c", script, process.execPath, program], {
    encoding: "utf8",
    env: { PATH: process.env.PATH },
    timeout: 60_000,
  });
  assert.match(result.stdout, /^inside\nfuseblk\nunmounted, \d+ handles\n$/, result.stderr);
});
