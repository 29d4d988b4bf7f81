import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import fc from "fast-check";
import { OwnerLock, processLives, processStart, readNote } from "../../../src/volume/owner-lock.ts";
import { scaled, seed } from "../../run-settings.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-lock-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const lockFile = () => join(folder, `lock-${count++}`);
const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
const open = { code: "VOLUME_ALREADY_OPEN" };

/** A process that shares the lock through an inherited descriptor. */
async function sharer(lock: OwnerLock): Promise<ChildProcess> {
  const child = spawn("sleep", ["60"], { stdio: ["ignore", "ignore", "ignore", lock.fd] });
  await once(child, "spawn");
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

describe("the lock of a volume", () => {
  it("is held by one at a time, also within one process", async () => {
    const file = lockFile();
    const lock = await OwnerLock.acquire(file, true);
    assert.equal(await OwnerLock.isHeld(file), true);
    await assert.rejects(OwnerLock.acquire(file, true), { ...open, message: /another process holds/ });
    lock.note({ pid: process.pid, leftOpen: false });
    await assert.rejects(OwnerLock.acquire(file, true), { ...open, message: new RegExp(`process ${process.pid} `) });
    lock.release();
    lock.release();
    assert.equal(await OwnerLock.isHeld(file), false);
    (await OwnerLock.acquire(file, false)).release();
  });

  it("is waited for as long as was agreed", async () => {
    const file = lockFile();
    const first = await OwnerLock.acquire(file, true);
    const second = OwnerLock.acquire(file, true, 10_000);
    setTimeout(() => first.release(), 50);
    (await second).release();
  });

  it("lives on in a process that inherited it, and ends with that", async () => {
    const file = lockFile();
    const lock = await OwnerLock.acquire(file, true);
    const child = await sharer(lock);
    lock.note({ pid: process.pid, leftOpen: true });
    lock.abandon();
    assert.equal(await OwnerLock.isHeld(file), true);
    await assert.rejects(OwnerLock.acquire(file, true), open);
    await end(child);
    assert.equal(await OwnerLock.isHeld(file), false);
    assert.equal(readNote(file)?.leftOpen, true);
  });

  it("is waited for when its owner died and only a helper that is ending holds it", async () => {
    const file = lockFile();
    const lock = await OwnerLock.acquire(file, true);
    const child = await sharer(lock);
    const { pid: dead } = spawnSync("true");
    lock.note({ pid: dead, leftOpen: false });
    lock.abandon();
    const taken = OwnerLock.acquire(file, true);
    setTimeout(() => child.kill("SIGKILL"), 50);
    (await taken).release();
  });

  it("is not made where it is missing, unless asked for", async () => {
    const file = lockFile();
    assert.equal(await OwnerLock.isHeld(file), false);
    await assert.rejects(OwnerLock.acquire(file, false), { code: "VOLUME_ABSENT" });
  });

  it("follows no link and takes no folder", async () => {
    const [link, target, directory] = [lockFile(), lockFile(), lockFile()];
    writeFileSync(target, "precious");
    symlinkSync(target, link);
    mkdirSync(directory);
    await assert.rejects(OwnerLock.acquire(link, true), { code: "VOLUME_SYSTEM" });
    await assert.rejects(OwnerLock.acquire(directory, true), { code: "VOLUME_SYSTEM" });
    assert.equal(readFileSync(target, "utf8"), "precious");
  });

  it("leaves its file as it was when it is taken and given up without a note", async () => {
    const file = lockFile();
    writeFileSync(file, "a note of an earlier owner");
    const lock = await OwnerLock.acquire(file, false);
    lock.abandon();
    assert.equal(readFileSync(file, "utf8"), "a note of an earlier owner");
  });
});

describe("the note of a lock", () => {
  it("is replaced whole, and gone after release", async () => {
    const file = lockFile();
    const lock = await OwnerLock.acquire(file, true);
    lock.note({ pid: 1234567, leftOpen: false });
    lock.note({ pid: 12, leftOpen: true });
    assert.deepEqual(readNote(file), { pid: 12, leftOpen: true, bootId });
    lock.release();
    assert.equal(readNote(file), undefined);
    assert.equal(readFileSync(file, "utf8").trim(), "");
  });

  for (const [what, text] of [
    ["of an earlier boot", JSON.stringify({ pid: 1, leftOpen: true, bootId: "0".repeat(36) })],
    ["without a process id", JSON.stringify({ leftOpen: true, bootId })],
    ["with a fraction for a process id", JSON.stringify({ pid: 1.5, leftOpen: true, bootId })],
    ["with text for a process id", JSON.stringify({ pid: "1", leftOpen: true, bootId })],
    ["without leftOpen", JSON.stringify({ pid: 1, bootId })],
    ["that is cut", JSON.stringify({ pid: 1, leftOpen: true, bootId }).slice(0, -1)],
    ["that is too long", `${JSON.stringify({ pid: 1, leftOpen: true, bootId })}${" ".repeat(300)}`],
    ["that is null", "null"],
    ["that is empty", ""],
  ] as const)
    it(`says nothing ${what}`, () => {
      const file = lockFile();
      writeFileSync(file, text);
      assert.equal(readNote(file), undefined);
    });

  it("says nothing when it cannot be read, and for any bytes", () => {
    assert.equal(readNote(join(folder, "missing")), undefined);
    const file = lockFile();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        writeFileSync(file, bytes);
        assert.equal(readNote(file), undefined);
      }),
      { seed, numRuns: scaled(2000) },
    );
    chmodSync(file, 0o600);
  });
});

describe("a process id", () => {
  it("lives while its process runs, and is told from a later process by the time of start", async () => {
    assert.equal(processLives(process.pid), true);
    assert.match(processStart(process.pid) ?? "", /^[0-9]+$/);
    const child = spawn("sleep", ["60"], { stdio: "ignore" });
    await once(child, "spawn");
    const pid = child.pid ?? 0;
    assert.equal(processLives(pid), true);
    assert.notEqual(processStart(pid), undefined);
    await end(child);
    assert.equal(processLives(pid), false);
    assert.equal(processStart(pid), undefined);
  });

  it("that cannot be one does not live, and asks nothing of other processes", () => {
    for (const pid of [0, -1, 1.5, Number.NaN, 2 ** 31, Number.MAX_SAFE_INTEGER])
      assert.equal(processLives(pid), false);
  });
});
