import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { ClassicLevel } from "classic-level";
import { SecretBuffer } from "../../../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../../../src/volume/drivers.ts";
import { mountAt } from "../../../../../src/volume/mounts.ts";
import { scaled, seed } from "../../../../run-settings.ts";
import { rowValue } from "./row-value.ts";

const missing = ["/dev/fuse", "/usr/bin/fusermount3"].find((path) => !existsSync(path));
const skip = missing === undefined ? false : `this machine has no ${missing}`;
const writer = join(import.meta.dirname, "writer.ts");
const mostMs = 400;

/** Mulberry32: the same moments for the same seed, as far as the machine goes along. */
let state = seed >>> 0;
function random(): number {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}

function serverOf(store: string): number {
  const pid = readdirSync("/proc").find((name) => {
    if (!/^[0-9]+$/.test(name)) return false;
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
      return words[1]?.endsWith("/sealfs/server/main.ts") === true && words.includes(store);
    } catch {
      return false;
    }
  });
  assert.ok(pid, "the server runs");
  return Number(pid);
}

/** The number of the last row that the writer has called safe. */
function follow(child: ChildProcess): { last(): number } {
  let text = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-64);
  });
  return { last: () => Number(text.slice(0, text.lastIndexOf("\n")).split("\n").at(-1) ?? 0) };
}

const readers = {
  sqlite(folder: string) {
    using database = new DatabaseSync(join(folder, "rows.sqlite"));
    const check = database.prepare("PRAGMA integrity_check").get() as { integrity_check: string };
    assert.equal(check.integrity_check, "ok");
    const rows = database.prepare("SELECT row, value FROM rows ORDER BY row").all();
    return Promise.resolve(rows.map(({ row, value }) => [Number(row), Buffer.from(value as Uint8Array)] as const));
  },
  async level(folder: string) {
    const database = new ClassicLevel<string, Buffer>(join(folder, "level"), { valueEncoding: "buffer" });
    const rows = await database.iterator().all();
    await database.close();
    return rows.map(([row, value]) => [Number(row), value] as const).sort(([one], [other]) => one - other);
  },
} as const;

for (const kind of ["sqlite", "level"] as const)
  for (const victim of ["server", "database"] as const)
    describe(`${kind} on a sealfs volume whose ${victim} is killed`, { skip }, () => {
      it("keeps each row that it called safe, and no other", async () => {
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
            const ended = once(child, "exit");
            const said = follow(child);
            while (said.last() <= safe) await new Promise((resolve) => setTimeout(resolve, 5));
            await new Promise((resolve) => setTimeout(resolve, random() * mostMs));
            if (victim === "server") {
              process.kill(serverOf(join(place.folder, "store")), "SIGKILL");
              await volume.lost;
            } else child.kill("SIGKILL");
            await ended;
            await new Promise((resolve) => setImmediate(resolve));
            await volume.close({ whenBusy: "cutOff" });
            assert.equal(mountAt(join(place.folder, "root")), undefined);

            const again = await driver.open(place, dataKey);
            const rows = await readers[kind](again.dataPath);
            const called = said.last();
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
