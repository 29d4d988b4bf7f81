import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../../src/volume/drivers.ts";

const isRoot = process.getuid?.() === 0;
const skip = isRoot && existsSync("/dev/fuse") ? false : "only root can mount a small file system, and needs /dev/fuse";
const patienceMs = 20_000;
const chunkBytes = [1 << 20, 4096, 512, 1];

/** Takes every byte that is left. */
function fill(path: string): void {
  const file = openSync(path, "a");
  for (const bytes of chunkBytes)
    try {
      for (;;) writeSync(file, Buffer.alloc(bytes, 1));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
    }
  closeSync(file);
}

/** The room of a removed file is there once the kernel has told the server to forget it. */
async function written(path: string, content: Buffer): Promise<void> {
  for (const latest = Date.now() + patienceMs; ; await new Promise((resolve) => setTimeout(resolve, 20)))
    try {
      return writeFileSync(path, content);
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
      assert.ok(Date.now() < latest, "no room was made");
    }
}

describe("a sealfs volume on a disk that is full", () => {
  it("is opened again and again, and room can be made in it", { skip }, async (t) => {
    const small = mkdtempSync(join(tmpdir(), "strongroom-full-disk-"));
    if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m", "none", small]).status !== 0) {
      rmdirSync(small);
      return t.diagnostic("this machine lets nobody mount");
    }
    using dataKey = SecretBuffer.random(32);
    const place = { folder: join(small, "volume") };
    const driver = await volumeDriver("sealfs");
    try {
      await driver.create(place, dataKey);
      const first = await driver.open(place, dataKey);
      writeFileSync(join(first.dataPath, "large"), Buffer.alloc(3 << 20, 7));
      writeFileSync(join(first.dataPath, "small"), "kept");
      await first.close();
      for (let round = 0; round < 3; round++) {
        fill(join(small, "beside"));
        const again = await driver.open(place, dataKey);
        assert.equal(readFileSync(join(again.dataPath, "small"), "utf8"), "kept");
        await again.close();
      }
      fill(join(small, "beside"));
      const full = await driver.open(place, dataKey);
      rmSync(join(full.dataPath, "large"));
      await written(join(full.dataPath, "next"), Buffer.alloc(1 << 20, 8));
      await full.close();
      const report = await driver.check(place, dataKey);
      assert.ok(report.sound, JSON.stringify(report.findings));
    } finally {
      spawnSync("umount", ["--lazy", small]);
      rmdirSync(small);
    }
  });
});
