import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { KeySlots } from "../../../src/devices/key-slots.ts";

const secretOf = (text: string) => SecretBuffer.copyOf(Buffer.from(text));

describe("key slots", () => {
  let folder: string;
  let path: string;
  let slots: KeySlots;
  const keyFile = SecretBuffer.random(32);
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "strongroom-slots-"));
    path = join(folder, "root.slots");
    slots = new KeySlots(path);
    using root = await slots.create("intl", "key-file", keyFile, "first");
    assert.match(root.id, /^[0-9a-f-]{36}$/);
  });
  after(() => rmSync(folder, { recursive: true }));

  it("opens the same root key through every slot, and lists them without a secret", async () => {
    using root = await slots.open(keyFile);
    using passphrase = secretOf("correct horse battery staple");
    const number = await slots.add(root, "passphrase", passphrase, "spare");
    using again = await slots.open(passphrase);
    assert.equal(again.id, root.id);
    root.exposeToSlot((bytes) => again.exposeToSlot((other) => assert.deepEqual(bytes, other)));
    assert.deepEqual(
      slots.list().map(({ slot, kind, label }) => ({ slot, kind, label })),
      [
        { slot: 1, kind: "key-file", label: "first" },
        { slot: number, kind: "passphrase", label: "spare" },
      ],
    );
    slots.remove(root, number);
    await assert.rejects(slots.open(passphrase), { code: "UNLOCK_REFUSED", exitCode: 5 });
  });

  it("refuses a wrong secret with one error and changes nothing", async () => {
    const before = readFileSync(path);
    for (const wrong of ["x", "wrong secret of some length, thirty-two and more bytes"]) {
      using secret = secretOf(wrong);
      await assert.rejects(slots.open(secret), {
        code: "UNLOCK_REFUSED",
        message: "the unlock secret opens no key slot",
      });
    }
    assert.deepEqual(readFileSync(path), before);
  });

  it("changes a slot's secret in one step", async () => {
    using root = await slots.open(keyFile);
    using newSecret = SecretBuffer.random(48);
    await slots.change(root, 1, "key-file", newSecret);
    await assert.rejects(slots.open(keyFile), { code: "UNLOCK_REFUSED" });
    using again = await slots.open(newSecret);
    await slots.change(again, 1, "key-file", keyFile);
  });

  it("loses no change to another that began before it ended: a removed or changed secret stays out", async () => {
    using root = await slots.open(keyFile);
    using leaked = SecretBuffer.random(32);
    using weak = SecretBuffer.random(33);
    using strong = secretOf("a stronger one");
    using colleague = secretOf("a new colleague");
    const leakedSlot = await slots.add(root, "key-file", leaked, "leaked");
    const weakSlot = await slots.add(root, "key-file", weak, "weak");
    const adding = new KeySlots(path).add(root, "passphrase", colleague, "colleague");
    const changing = new KeySlots(path).change(root, weakSlot, "passphrase", strong);
    new KeySlots(path).remove(root, leakedSlot);
    const numbers = [await adding, await slots.add(root, "key-file", SecretBuffer.random(32), "other")];
    await changing;
    assert.equal(new Set([leakedSlot, weakSlot, ...numbers]).size, 4, "no number is given twice");
    for (const out of [leaked, weak]) await assert.rejects(slots.open(out), { code: "UNLOCK_REFUSED" });
    for (const opens of [strong, colleague, keyFile]) (await slots.open(opens))[Symbol.dispose]();
    const doomed = slots.change(root, weakSlot, "passphrase", strong);
    slots.remove(root, weakSlot);
    await assert.rejects(doomed, { code: "SLOT_NOT_FOUND" });
    for (const number of numbers) slots.remove(root, number);
    assert.deepEqual(
      slots.list().map(({ label }) => label),
      ["first"],
    );
  });

  it("waits for a command in another process that is changing the slots", async () => {
    using root = await slots.open(keyFile);
    using spare = SecretBuffer.random(32);
    const number = await slots.add(root, "key-file", spare, "spare");
    const module = join(import.meta.dirname, "../../../src/devices/file-lock.ts");
    const holder = `import { FileLock } from ${JSON.stringify(module)}; import { existsSync, rmSync } from "node:fs";
      const lock = new FileLock(${JSON.stringify(`${path}.lock`)}, 0); console.log("held");
      setTimeout(() => { rmSync(${JSON.stringify(join(folder, "held"))}); lock[Symbol.dispose](); }, 300);
      await new Promise((resolve) => setTimeout(resolve, 400));`;
    writeFileSync(join(folder, "held"), "");
    const child = spawn(process.execPath, ["--input-type=module", "--eval", holder], { stdio: ["ignore", "pipe", 2] });
    const ended = once(child, "exit");
    assert.ok(child.stdout);
    await Promise.race([once(child.stdout, "data"), ended]);
    slots.remove(root, number);
    assert.equal(existsSync(join(folder, "held")), false, "the holder had let go");
    await ended;
  });

  it("never removes the last slot, nor one that is not there", async () => {
    using root = await slots.open(keyFile);
    assert.throws(() => slots.remove(root, 1), { code: "SLOT_LAST" });
    assert.throws(() => slots.remove(root, 99), { code: "SLOT_NOT_FOUND" });
    await assert.rejects(slots.change(root, 99, "key-file", keyFile), { code: "SLOT_NOT_FOUND" });
  });

  it("refuses an unlock secret that is empty, short for a key file, or too large", async () => {
    using root = await slots.open(keyFile);
    for (const [kind, bytes] of [
      ["passphrase", 0],
      ["key-file", 31],
      ["passphrase", 4097],
    ] as const) {
      using secret = SecretBuffer.copyOf(Buffer.alloc(bytes, "a"));
      await assert.rejects(slots.add(root, kind, secret, ""), { code: "UNLOCK_SECRET_UNSAFE" });
    }
  });

  it("does not open a file of which any byte was changed", async () => {
    const original = readFileSync(path);
    for (let offset = 0; offset < original.length; offset += 7) {
      const bad = Buffer.from(original);
      bad.writeUInt8(bad.readUInt8(offset) ^ 1, offset);
      writeFileSync(path, bad);
      await assert.rejects(slots.open(keyFile), (error: { code: string }) =>
        ["SLOTS_DAMAGED", "UNLOCK_REFUSED"].includes(error.code),
      );
    }
    for (let length = 0; length < original.length; length += 13) {
      writeFileSync(path, original.subarray(0, length));
      await assert.rejects(slots.open(keyFile), { code: "SLOTS_DAMAGED" });
    }
    writeFileSync(path, original);
    (await slots.open(keyFile))[Symbol.dispose]();
  });

  it("does not accept scrypt parameters other than its own", async () => {
    using root = await slots.open(keyFile);
    using passphrase = secretOf("a passphrase");
    const number = await slots.add(root, "passphrase", passphrase, "");
    const original = readFileSync(path, "utf8");
    for (const [from, to] of [
      ['"N": 131072', '"N": 2'],
      ['"N": 131072', '"N": 1073741824'],
      ['"p": 1', '"p": 4096'],
    ] as const) {
      assert.ok(original.includes(from));
      writeFileSync(path, original.replace(from, to));
      await assert.rejects(slots.open(passphrase), { code: "SLOTS_DAMAGED" });
    }
    writeFileSync(path, original);
    slots.remove(root, number);
  });

  it("is readable by its owner only and leaves no temporary file", () => {
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(folder).sort(), ["root.slots", "root.slots.lock"]);
  });

  it("does not replace a slot file that exists", async () => {
    await assert.rejects(slots.create("intl", "key-file", keyFile, "again"), { code: "SLOTS_DAMAGED" });
  });
});
