import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { volumeDriver } from "../../../../../src/volume/drivers.ts";
import { scaled } from "../../../../run-settings.ts";
import { randomMoments } from "../../engines/random-moments.ts";
import { resealed, ServedVolume, skip } from "../control/served-volume.ts";
import { bytesUnder, contentOf, lookInto, olderBytes } from "./locked-volume.ts";

const rules = [{ pattern: "data/*", becomes: "table-sealed" }] as const;
const zone = ["data", "zone"];
const largeBytes = 12 * 1024 * 1024;
const smallFiles = 40;
/** At 32 MiB in a second the zone takes some 0.4 s. */
const mostMs = 450;

describe("a sealfs volume whose server is killed while it seals a zone anew", { skip }, () => {
  it("loses nothing, goes on where it was, and lets the old generation be destroyed in the end", async (t) => {
    const random = randomMoments();
    const served = await ServedVolume.create(t, { rules });
    const look = <T>(at: Parameters<typeof lookInto<T>>[2]) => lookInto(served.folder, served.dataKey, at);
    const files = new Map<string, Buffer>([["large", randomBytes(largeBytes)]]);
    for (let at = 0; at < smallFiles; at += 1) files.set(`small-${at}`, randomBytes(1 + Math.floor(random() * 60_000)));
    const zoneFolder = join(await served.open(), "zone");
    await mkdir(zoneFolder);
    for (const [name, content] of files) await writeFile(join(zoneFolder, name), content);
    let generation = 1;
    const rotate = async () => {
      const control = await served.control();
      if (generation > 1) await control.destroyGeneration("data/zone", generation - 1);
      await control.setResealingRate(0);
      generation = (await control.rotate("data/zone")).generation;
      await served.close();
      return look((volume) => olderBytes(volume, zone));
    };
    let older = await rotate();
    assert.ok(older > largeBytes);
    let wentOn = 0;
    for (let round = 0; round < scaled(50); round += 1) {
      if (older === 0) {
        await served.open();
        older = await rotate();
      }
      await served.open();
      const killing = pause(random() * mostMs);
      const synced = await open(join(zoneFolder, `synced-${round % 5}`), "w");
      files.set(`synced-${round % 5}`, randomBytes(20_000));
      await synced.writeFile(files.get(`synced-${round % 5}`) ?? assert.fail());
      await synced.sync();
      await synced.close();
      await killing;
      await served.kill();
      const left = await look((volume) => {
        for (const [name, content] of files) assert.ok(contentOf(volume, [...zone, name]).equals(content), name);
        return olderBytes(volume, zone);
      });
      assert.ok(left <= older, `round ${round}: ${older} bytes lay under older generations, now ${left}`);
      if (left > 0 && left < older) wentOn += 1;
      older = left;
    }
    t.diagnostic(`killed within the work, and further than before, ${wentOn} times`);
    await served.open();
    const control = await served.control();
    await resealed(control);
    await control.destroyGeneration("data/zone", generation - 1);
    await served.close();
    assert.deepEqual(await look((volume) => [...bytesUnder(volume, zone).keys()]), [generation]);
    const report = await (await volumeDriver("sealfs")).check({ folder: served.folder }, served.dataKey);
    assert.ok(report.sound, JSON.stringify(report.findings));
    assert.deepEqual(served.damage, []);
  });
});
