import assert from "node:assert/strict";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import type { SuiteName } from "../../../../src/crypto/suite.ts";
import { volumeDriver } from "../../../../src/volume/drivers.ts";
import { mountAt } from "../../../../src/volume/mounts.ts";
import { scaled } from "../../../run-settings.ts";
import { rowValue } from "../sealfs/databases/row-value.ts";
import type { Engine, EngineFolders, Writing } from "./engine.ts";
import { until } from "./processes.ts";
import { randomMoments } from "./random-moments.ts";
import { sealfsServerPid } from "./sealfs-server-pid.ts";

const missing = ["/dev/fuse", "/usr/bin/fusermount3"].find((path) => !existsSync(path));
const mostMs = 400;

export interface VolumeSettings {
  readonly suite: SuiteName;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Kills the volume's server, or the engine, at random moments, and wants every row that was called safe back each time. */
export function killRounds(victim: "server" | "engine", engine: Engine, settings: VolumeSettings): void {
  const skip = missing === undefined ? rootless() || engine.whyMissing : `this machine has no ${missing}`;
  describe(`${engine.name} on a sealfs volume whose ${victim} is killed`, { skip }, () => {
    it("keeps each row that it called safe, and no other", { timeout: 3_600_000 }, async () => {
      const random = randomMoments();
      using work = workFolder(engine.owner);
      const driver = await volumeDriver("sealfs");
      using dataKey = SecretBuffer.random(32);
      const place = { folder: join(work.path, "volume") };
      await driver.create(place, dataKey, settings);
      const damage: string[] = [];
      const open = () =>
        driver.open(place, dataKey, {
          ...(engine.owner === undefined ? {} : { owner: engine.owner }),
          onDamage: (what) => damage.push(what),
        });
      const foldersOf = (data: string): EngineFolders => ({ data, scratch: work.scratch });

      const fresh = await open();
      await engine.prepare?.(foldersOf(fresh.dataPath));
      await fresh.close();
      let safe = 0;
      for (let round = 0; round < scaled(50); round++) {
        const volume = await open();
        const writing = await engine.write(foldersOf(volume.dataPath), safe + 1);
        await firstRow(writing, safe);
        await pause(random() * mostMs);
        if (victim === "server") {
          process.kill(sealfsServerPid(place.folder), "SIGKILL");
          await volume.lost;
        }
        writing.kill();
        await writing.ended;
        await volume.close({ whenBusy: "cutOff" });
        assert.equal(mountAt(join(place.folder, "root")), undefined);

        damage.length = 0;
        const again = await open();
        const rows = await engine.read(foldersOf(again.dataPath));
        const called = Math.max(safe, writing.safe());
        const where = `round ${round}: ${rows.length} rows, ${called} were safe; ${damage.join("; ")}`;
        assert.ok(rows.length === called || rows.length === called + 1, where);
        for (const [index, [row, value]] of rows.entries()) {
          assert.equal(row, index + 1, where);
          assert.deepEqual(value, rowValue(row), where);
        }
        safe = rows.length;
        await again.close();
      }
      const report = await driver.check(place, dataKey);
      assert.ok(report.sound, JSON.stringify(report.findings));
    });
  });
}

/** What is killed before the first row of a round tells nothing. */
async function firstRow(writing: Writing, before: number): Promise<void> {
  await until(async () => writing.safe() > before, "a first row is safe");
}

interface WorkFolder extends Disposable {
  readonly path: string;
  readonly scratch: string;
}

/** Anybody may pass through it: the engine may be another user. */
function workFolder(owner: Engine["owner"]): WorkFolder {
  const path = mkdtempSync(join(tmpdir(), "strongroom-engine-"));
  chmodSync(path, 0o711);
  const scratch = join(path, "scratch");
  mkdirSync(scratch);
  if (owner !== undefined) chownSync(scratch, owner.uid, owner.gid);
  return {
    path,
    scratch,
    [Symbol.dispose]() {
      rmSync(path, { recursive: true, force: true });
    },
  };
}

function rootless(): string | false {
  return process.getuid?.() === 0 ? false : "only root may let other users into a mount here";
}
