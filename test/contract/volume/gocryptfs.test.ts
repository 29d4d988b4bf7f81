import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../src/volume/drivers.ts";
import { readMounts } from "../../../src/volume/mounts.ts";
import { pathsHolding } from "./backing-search.ts";
import { transparent } from "./transparent-subject.ts";
import { volumeContract } from "./volume-contract.ts";

const missing = ["/dev/fuse", "/usr/bin/gocryptfs", "/usr/bin/fusermount3"].find((path) => !existsSync(path));
const skip = missing === undefined ? false : `this machine has no ${missing}`;

volumeContract("gocryptfs", () => {
  if (skip !== false) return skip;
  const workFolder = mkdtempSync(join(tmpdir(), "strongroom-gocryptfs-"));
  return {
    ...transparent,
    workFolder,
    searchLocked: pathsHolding,
    clear() {
      for (const { mountPoint } of readMounts().filter((mount) => mount.mountPoint.startsWith(`${workFolder}/`)))
        spawnSync("fusermount3", ["-u", "-z", "--", mountPoint]);
      rmSync(workFolder, { recursive: true, force: true });
    },
  };
});

it("a check of a gocryptfs volume names what is damaged, and clears away what a killed check left", {
  skip,
}, async () => {
  const workFolder = mkdtempSync(join(tmpdir(), "strongroom-gocryptfs-"));
  try {
    const folder = join(workFolder, "volume");
    const driver = await volumeDriver("gocryptfs");
    using dataKey = SecretBuffer.random(32);
    await driver.create({ folder }, dataKey, { parameters: { cipher: "xchacha20-poly1305" } });
    const volume = await driver.open({ folder }, dataKey);
    writeFileSync(join(volume.dataPath, "file"), "x".repeat(10_000), { flush: true });
    await volume.close();
    mkdirSync(join(folder, "check-AAAAAA", "mount"), { recursive: true });
    assert.equal((await driver.check({ folder }, dataKey)).sound, true);
    assert.equal(existsSync(join(folder, "check-AAAAAA")), false);

    const [stored = ""] = pathsHolding(folder, "").filter((path) => lstatSync(path).size > 10_000);
    const bytes = readFileSync(stored);
    bytes.writeUInt8(bytes.readUInt8(5000) ^ 1, 5000);
    writeFileSync(stored, bytes);
    const report = await driver.check({ folder }, dataKey);
    assert.equal(report.sound, false);
    assert.match(report.findings.find(({ ok }) => !ok)?.remedy ?? "", /backup/);
    const again = await driver.open({ folder }, dataKey);
    assert.throws(() => readFileSync(join(again.dataPath, "file")), { code: "EIO" });
    await again.close();
  } finally {
    rmSync(workFolder, { recursive: true, force: true });
  }
});
