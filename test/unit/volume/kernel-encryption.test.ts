import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { after, describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../src/volume/drivers.ts";
import { addKernelKey, folderPolicy } from "../../../src/volume/fscrypt-ioctl.ts";
import { loadLibc, SystemCallError } from "../../../src/volume/libc.ts";

/** A tmpfs: a file system that never has encryption. */
const folder = mkdtempSync("/dev/shm/no-encryption-");
after(() => rmSync(folder, { recursive: true, force: true }));
const unsupported = { code: "VOLUME_UNSUPPORTED", message: /tmpfs .* has no encryption .* choose the kind gocryptfs/ };

describe("a file system without encryption", () => {
  it("is told with what to do about it", async () => {
    using key = SecretBuffer.random(64);
    await assert.rejects(addKernelKey(folder, key), unsupported);
    await assert.rejects(folderPolicy(folder), unsupported);
  });

  it("is left as it was by a volume that cannot be made on it", async () => {
    using dataKey = SecretBuffer.random(32);
    const driver = await volumeDriver("fscrypt");
    for (let attempt = 0; attempt < 2; attempt++)
      await assert.rejects(driver.create({ folder: `${folder}/volume` }, dataKey), unsupported);
    assert.equal((await driver.status({ folder: `${folder}/volume` })).state, "absent");
  });
});

describe("a failed system call", () => {
  it("is named as the manual pages name it where a number has two names", async () => {
    const libc = await loadLibc();
    const named = (code: string) => (error: unknown) => error instanceof SystemCallError && error.code === code;
    assert.throws(() => libc.ioctl(-1, 0, Buffer.alloc(8)), named("EBADF"));
    assert.throws(() => libc.makeFifo("/no/such/folder/fifo", 0o600), named("ENOENT"));
    assert.throws(() => libc.makeFifo(folder, 0o600), named("EEXIST"));
  });
});
