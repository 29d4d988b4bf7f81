import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../src/volume/drivers.ts";
import { exportVolume } from "../../../src/volume/transfer/export-volume.ts";
import { importVolume } from "../../../src/volume/transfer/import-volume.ts";

const missing = ["/dev/fuse", "/usr/bin/gocryptfs", "/usr/bin/fusermount3"].find((path) => !existsSync(path));
const skip = missing === undefined ? false : `this machine has no ${missing}`;
const canary = "canary-of-an-export";
const longName = "n".repeat(240);

async function* once(bytes: Buffer): AsyncIterable<Buffer> {
  yield bytes;
}

async function exportOf(folder: string, dataKey: SecretBuffer): Promise<Buffer> {
  const pieces: Buffer[] = [];
  await exportVolume({ folder }, dataKey, async (bytes) => void pieces.push(Buffer.from(bytes)));
  return Buffer.concat(pieces);
}

describe("the export of a gocryptfs volume", { skip }, () => {
  it("is refused while it is open, shows nothing, and makes a volume that reads the same under the same key alone", async () => {
    const work = mkdtempSync(join(tmpdir(), "strongroom-gocryptfs-export-"));
    const driver = await volumeDriver("gocryptfs");
    const folder = join(work, "volume");
    using dataKey = SecretBuffer.random(32);
    using other = SecretBuffer.random(32);
    try {
      await driver.create({ folder }, dataKey);
      const volume = await driver.open({ folder }, dataKey);
      try {
        mkdirSync(join(volume.dataPath, "folder"));
        writeFileSync(join(volume.dataPath, "folder", longName), canary);
        writeFileSync(join(volume.dataPath, "large"), Buffer.alloc(600_000, 3));
        symlinkSync("folder/somewhere", join(volume.dataPath, "link"));
        await assert.rejects(exportOf(folder, dataKey), { code: "VOLUME_ALREADY_OPEN" });
      } finally {
        await volume.close({ whenBusy: "cutOff" });
      }
      await assert.rejects(exportOf(folder, other), { code: "VOLUME_WRONG_KEY" });
      const exported = await exportOf(folder, dataKey);
      for (const clear of [canary, longName, "gocryptfs.longname"])
        assert.equal(exported.includes(clear), false, clear);
      const target = join(work, "restored");
      for (const [key, stream, code] of [
        [other, exported, "VOLUME_WRONG_KEY"],
        [dataKey, exported.subarray(0, -1), "VOLUME_EXPORT_DAMAGED"],
        [dataKey, exported.subarray(0, exported.length >> 1), "VOLUME_EXPORT_DAMAGED"],
      ] as const) {
        await assert.rejects(importVolume({ folder: target }, key, once(stream)), { code });
        assert.equal(existsSync(join(target, "store")), false);
      }
      await assert.rejects(importVolume({ folder: target }, dataKey, once(exported), { kind: "sealfs" }), {
        code: "VOLUME_KIND_MISMATCH",
      });
      const { description } = await importVolume({ folder: target }, dataKey, once(exported), { kind: "gocryptfs" });
      assert.equal(description.kind, "gocryptfs");
      const restored = await driver.open({ folder: target }, dataKey);
      try {
        assert.deepEqual(readdirSync(restored.dataPath).sort(), ["folder", "large", "link"]);
        assert.equal(readFileSync(join(restored.dataPath, "folder", longName), "utf8"), canary);
        assert.ok(readFileSync(join(restored.dataPath, "large")).equals(Buffer.alloc(600_000, 3)));
      } finally {
        await restored.close({ whenBusy: "cutOff" });
      }
      const report = await driver.check({ folder: target }, dataKey);
      assert.ok(report.sound, JSON.stringify(report.findings));
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });
});
