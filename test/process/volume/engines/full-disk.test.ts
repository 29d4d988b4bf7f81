import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../../src/volume/drivers.ts";
import { readers } from "../sealfs/databases/readers.ts";
import { rowValue } from "../sealfs/databases/row-value.ts";
import { followNumbers, run, until } from "./processes.ts";

const writer = join(import.meta.dirname, "../sealfs/databases/writer.ts");
const missing = ["/dev/fuse", "/usr/bin/fusermount3"].find((path) => !existsSync(path));
const notRoot = process.getuid?.() === 0 ? false : "only root may mount a small disk";
const skip = missing === undefined ? notRoot : `this machine has no ${missing}`;
const failedCode = 3;

describe("a database on a sealfs volume whose disk is full", { skip }, () => {
  for (const [kind, suite] of [
    ["sqlite", "intl"],
    ["level", "sm"],
  ] as const)
    it(`keeps each row that ${kind} called safe, and goes on when there is room`, async () => {
      const above = mkdtempSync(join(tmpdir(), "strongroom-full-"));
      const disk = join(above, "disk");
      mkdirSync(disk);
      await run("mount", ["-t", "tmpfs", "-o", "size=3m", "tmpfs", disk]);
      try {
        const place = { folder: join(disk, "volume") };
        const driver = await volumeDriver("sealfs");
        using dataKey = SecretBuffer.random(32);
        await driver.create(place, dataKey, { suite, parameters: { blockSize: "4096" } });
        const volume = await driver.open(place, dataKey);
        const start = (first: number) => {
          const child = spawn(process.execPath, [writer, kind, volume.dataPath, String(first)], {
            stdio: ["ignore", "pipe", "ignore"],
          });
          return { child, safe: followNumbers(child), ended: once(child, "close") };
        };
        const rowsAfter = async (called: number) => {
          const rows = await readers[kind](volume.dataPath);
          assert.ok(rows.length === called || rows.length === called + 1, `${rows.length} rows, ${called} were safe`);
          for (const [index, [row, value]] of rows.entries()) {
            assert.equal(row, index + 1);
            assert.deepEqual(value, rowValue(row));
          }
          return rows.length;
        };

        const first = start(1);
        assert.deepEqual(await first.ended, [failedCode, null]);
        assert.ok(first.safe() > 0);
        await run("mount", ["-o", "remount,size=64m", disk]);
        const kept = await rowsAfter(first.safe());

        const second = start(kept + 1);
        await until(async () => second.safe() > kept + 30, "it goes on");
        second.child.kill("SIGKILL");
        await second.ended;
        await rowsAfter(second.safe());
        await volume.close();
        const report = await driver.check(place, dataKey);
        assert.ok(report.sound, JSON.stringify(report.findings));
      } finally {
        spawnSync("umount", ["-l", join(disk, "volume/root")]);
        spawnSync("umount", ["-l", disk]);
        rmSync(above, { recursive: true, force: true });
      }
    });
});
