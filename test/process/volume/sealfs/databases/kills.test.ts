import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../../../src/volume/drivers.ts";
import { mountAt } from "../../../../../src/volume/mounts.ts";
import { scaled } from "../../../../run-settings.ts";
import { followNumbers } from "../../engines/processes.ts";
import { randomMoments } from "../../engines/random-moments.ts";
import { sealfsServerPid } from "../../engines/sealfs-server-pid.ts";
import { readers } from "./readers.ts";
import { rowValue } from "./row-value.ts";

const missing = ["/dev/fuse", "/usr/bin/fusermount3"].find((path) => !existsSync(path));
const skip = missing === undefined ? false : `this machine has no ${missing}`;
const writer = join(import.meta.dirname, "writer.ts");
const mostMs = 400;

for (const kind of ["sqlite", "level"] as const)
  for (const victim of ["server", "database"] as const)
    describe(`${kind} on a sealfs volume whose ${victim} is killed`, { skip }, () => {
      it("keeps each row that it called safe, and no other", async () => {
        const random = randomMoments();
        const folder = mkdtempSync(join(tmpdir(), "strongroom-sealfs-kill-"));
        const driver = await volumeDriver("sealfs");
        using dataKey = SecretBuffer.random(32);
        try {
          const place = { folder: join(folder, "volume") };
          await driver.create(place, dataKey, {
            suite: kind === "sqlite" ? "sm" : "intl",
            parameters: { blockSize: "4096" },
          });
          let safe = 0;
          for (let round = 0; round < scaled(50); round++) {
            const volume = await driver.open(place, dataKey);
            const child = spawn(process.execPath, [writer, kind, volume.dataPath, String(safe + 1)], {
              stdio: ["ignore", "pipe", "ignore"],
            });
            // With all that it has printed, unlike its exit.
            const ended = once(child, "close");
            const safeRow = followNumbers(child);
            while (safeRow() <= safe) await new Promise((resolve) => setTimeout(resolve, 5));
            await new Promise((resolve) => setTimeout(resolve, random() * mostMs));
            if (victim === "server") {
              process.kill(sealfsServerPid(place.folder), "SIGKILL");
              await volume.lost;
            } else child.kill("SIGKILL");
            await ended;
            await volume.close({ whenBusy: "cutOff" });
            assert.equal(mountAt(join(place.folder, "root")), undefined);

            const again = await driver.open(place, dataKey);
            const rows = await readers[kind](again.dataPath);
            const called = safeRow();
            assert.ok(rows.length === called || rows.length === called + 1, `${rows.length} rows, ${called} were safe`);
            for (const [index, [row, value]] of rows.entries()) {
              assert.equal(row, index + 1);
              assert.deepEqual(value, rowValue(row));
            }
            safe = rows.length;
            await again.close();
          }
          const report = await driver.check(place, dataKey);
          assert.ok(report.sound, JSON.stringify(report.findings));
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      });
    });
