import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { after, describe, it } from "node:test";
import {
  isInMemory,
  makeMemoryFolder,
  memoryFolderCandidates,
  removeDeadFolders,
} from "../../../src/volume/memory-folder.ts";
import { processStart } from "../../../src/volume/owner-lock.ts";

const parent = mkdtempSync("/dev/shm/sweep-");
after(() => rmSync(parent, { recursive: true, force: true }));
const namespace = /\[([0-9]+)\]/.exec(readlinkSync("/proc/self/ns/pid"))?.[1] ?? "";
const ownStart = processStart(process.pid) ?? "";
const { pid: deadPid } = spawnSync("true");

function leave(name: string): string {
  const path = join(parent, name);
  mkdirSync(path, { mode: 0o700 });
  writeFileSync(join(path, "key"), "a key that was handed over", { mode: 0o400 });
  return path;
}

describe("a folder in memory", () => {
  it("lies on tmpfs, is closed to others and goes with all that is in it", () => {
    const folder = makeMemoryFolder();
    assert.ok(isInMemory(folder.path));
    assert.equal(lstatSync(folder.path).mode & 0o777, 0o700);
    writeFileSync(join(folder.path, "key"), "secret");
    folder.remove();
    folder.remove();
    assert.ok(!existsSync(folder.path));
  });

  it("is named after the process that made it", () => {
    const folder = makeMemoryFolder([parent]);
    assert.match(basename(folder.path), new RegExp(`^strongroom-${namespace}-${process.pid}-${ownStart}-.{6}$`));
    folder.remove();
  });

  it("is refused where no candidate is in memory or writable", () => {
    for (const candidates of [[], ["/proc"], ["/no/such/folder"]])
      assert.throws(() => makeMemoryFolder(candidates), { code: "VOLUME_NO_MEMORY_FOLDER", exitCode: 1 });
    assert.equal(isInMemory("/proc"), false);
    assert.equal(isInMemory("/no/such/folder"), false);
  });

  it("is looked for in the user's own run-time folder first", () => {
    const before = process.env.XDG_RUNTIME_DIR;
    try {
      process.env.XDG_RUNTIME_DIR = parent;
      assert.equal(memoryFolderCandidates()[0], parent);
      process.env.XDG_RUNTIME_DIR = "";
      assert.equal(memoryFolderCandidates()[0], "/run");
    } finally {
      if (before === undefined) delete process.env.XDG_RUNTIME_DIR;
      else process.env.XDG_RUNTIME_DIR = before;
    }
  });
});

describe("folders in memory of processes that were killed", () => {
  it("are removed when the next one is made", () => {
    const dead = leave(`strongroom-${namespace}-${deadPid}-77-AAAAAA`);
    const folder = makeMemoryFolder([parent]);
    assert.ok(!existsSync(dead));
    folder.remove();
  });

  it("are removed when their process id was given to another process since", () => {
    const dead = leave(`strongroom-${namespace}-${process.pid}-1-AAAAAA`);
    assert.deepEqual(removeDeadFolders(parent), [dead]);
  });

  it("stay while their process lives", () => {
    const alive = leave(`strongroom-${namespace}-${process.pid}-${ownStart}-AAAAAA`);
    const init = leave(`strongroom-${namespace}-1-0-AAAAAA`);
    assert.deepEqual(removeDeadFolders(parent), []);
    for (const path of [alive, init]) rmSync(path, { recursive: true });
  });

  it("stay while a living process uses a file of them", async () => {
    const dead = leave(`strongroom-${namespace}-${deadPid}-77-BBBBBB`);
    const user = spawn("sleep", ["60"], { cwd: dead, stdio: "ignore" });
    await once(user, "spawn");
    assert.deepEqual(removeDeadFolders(parent), []);
    const ended = once(user, "exit");
    user.kill("SIGKILL");
    await ended;
    assert.deepEqual(removeDeadFolders(parent), [dead]);
  });

  for (const [what, name] of [
    ["of another PID namespace", `strongroom-1-${deadPid}-77-AAAAAA`],
    ["of an unknown PID namespace", `strongroom-0-${deadPid}-77-AAAAAA`],
    ["of another form", `strongroom-${namespace}-${deadPid}-AAAAAA`],
    ["of another program", `other-${namespace}-${deadPid}-77-AAAAAA`],
    ["with a name that goes on", `strongroom-${namespace}-${deadPid}-77-AAAAAA-kept`],
  ] as const)
    it(`stay when they are ${what}`, () => {
      const path = leave(name);
      assert.deepEqual(removeDeadFolders(parent), []);
      rmSync(path, { recursive: true });
    });

  it("stay when a file or a link has their name, and what the link names stays whole", () => {
    const name = `strongroom-${namespace}-${deadPid}-77-`;
    const target = join(parent, "target");
    mkdirSync(target);
    writeFileSync(join(target, "key"), "precious");
    symlinkSync(target, join(parent, `${name}AAAAAA`));
    writeFileSync(join(parent, `${name}BBBBBB`), "a file");
    assert.deepEqual(removeDeadFolders(parent), []);
    assert.deepEqual(readdirSync(target), ["key"]);
    for (const entry of readdirSync(parent)) rmSync(join(parent, entry), { recursive: true });
  });

  const otherUser = process.geteuid?.() === 0 ? false : "giving a folder to another user needs root";
  it("stay when they are another user's", { skip: otherUser }, () => {
    const path = leave(`strongroom-${namespace}-${deadPid}-77-AAAAAA`);
    chownSync(path, 65_534, 65_534);
    assert.deepEqual(removeDeadFolders(parent), []);
    rmSync(path, { recursive: true });
  });

  it("are none in a folder that is missing", () => {
    assert.deepEqual(removeDeadFolders("/no/such/folder"), []);
  });
});
