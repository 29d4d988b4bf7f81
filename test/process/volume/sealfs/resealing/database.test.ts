import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { volumeDriver } from "../../../../../src/volume/drivers.ts";
import { scaled } from "../../../../run-settings.ts";
import { followNumbers, until } from "../../engines/processes.ts";
import { resealed, ServedVolume, skip } from "../control/served-volume.ts";
import { readers } from "../databases/readers.ts";
import { rowValue } from "../databases/row-value.ts";

const rules = [{ pattern: "data/*", becomes: "table-sealed" }] as const;
const writer = join(import.meta.dirname, "../databases/writer.ts");

describe("a database that writes while its zone's key is rotated", { skip }, () => {
  it("loses no row, while older generations are sealed anew and destroyed, and its server is killed", async (t) => {
    const served = await ServedVolume.create(t, { rules });
    const folder = join(await served.open(), "zone");
    await mkdir(folder);
    const control = await served.control();
    const child = spawn(process.execPath, [writer, "sqlite", folder, "1"], { stdio: ["ignore", "pipe", "ignore"] });
    // With all that it has printed, unlike its exit.
    const ended = once(child, "close");
    const safeRow = followNumbers(child);
    const more = async (rows: number) => {
      const least = safeRow() + rows;
      await until(async () => {
        assert.equal(child.exitCode, null, "the database fails");
        return safeRow() >= least;
      }, "the database writes on");
    };
    try {
      await more(40);
      for (let time = 0; time < 1 + scaled(40); time += 1) {
        const { generation } = await control.rotate("data/zone");
        await more(5);
        await resealed(control);
        await control.destroyGeneration("data/zone", generation - 1);
        await more(5);
      }
      const zone = (await control.keys()).zones.find(({ path }) => path === "/data/zone");
      assert.equal(zone?.generations.length, 1);
      await control.setResealingRate(64 * 1024);
      await control.rotate("data/zone");
      await more(5);
      await served.kill();
    } finally {
      child.kill("SIGKILL");
      await ended;
    }
    const safe = safeRow();
    const again = join(await served.open(), "zone");
    const rows = await readers.sqlite(again);
    assert.ok(rows.length === safe || rows.length === safe + 1, `${rows.length} rows, ${safe} were safe`);
    for (const [index, [row, value]] of rows.entries()) {
      assert.equal(row, index + 1);
      assert.deepEqual(value, rowValue(row));
    }
    const control2 = await served.control();
    await resealed(control2);
    const zone = (await control2.keys()).zones.find(({ path }) => path === "/data/zone");
    await control2.destroyGeneration("data/zone", (zone?.generations.at(-1)?.generation ?? 1) - 1);
    await served.close();
    const report = await (await volumeDriver("sealfs")).check({ folder: served.folder }, served.dataKey);
    assert.ok(report.sound, JSON.stringify(report.findings));
    assert.deepEqual(served.damage, []);
  });
});
