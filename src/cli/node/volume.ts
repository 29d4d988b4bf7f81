import { NodeError } from "../../node/errors.ts";
import { type LoadedManifest, loadManifest } from "../../node/manifest-reader.ts";
import { volumeDriver } from "../../volume/drivers.ts";
import type { VolumeDriver, VolumePlace } from "../../volume/volume.ts";
import { exitCodes } from "../failure.ts";
import { type OutputOptions, printData, table, tell } from "../output.ts";
import { withDataKey } from "./seal.ts";

export async function runCreate(where: string, options: OutputOptions): Promise<void> {
  await withDataKey(where, async (loaded, dataKey) => {
    const { driver, place, parameters } = await volumeOf(loaded);
    const description = await driver.create(place, dataKey, { suite: loaded.manifest.dataKey.suite, parameters });
    printData(
      options,
      { ...description, folder: place.folder },
      () => `${description.kind} volume made in ${place.folder}`,
    );
  });
}

export async function runOpen(where: string, options: OutputOptions): Promise<void> {
  await withDataKey(
    where,
    async (loaded, dataKey) => {
      const { driver, place } = await volumeOf(loaded);
      const { dataPath, temporaryPath, logPath } = await driver.open(place, dataKey, { outliveOwner: true });
      printData(options, { dataPath, temporaryPath, logPath }, () => dataPath);
    },
    { make: false },
  );
}

export async function runClose(where: string, { cutOff = false }: { cutOff?: boolean }): Promise<void> {
  const { driver, place } = await volumeOf(loadManifest(where));
  await driver.close(place, { whenBusy: cutOff ? "cutOff" : "refuse" });
  tell(`${place.folder} is locked`);
}

export async function runStatus(where: string, options: OutputOptions): Promise<void> {
  const { driver, place } = await volumeOf(loadManifest(where));
  const status = await driver.status(place);
  printData(options, { ...status, folder: place.folder }, () =>
    [`${driver.kind} volume ${place.folder}: ${status.state}`, status.detail].join("\n"),
  );
}

export async function runCheck(where: string, options: OutputOptions): Promise<void> {
  await withDataKey(
    where,
    async (loaded, dataKey) => {
      const { driver, place } = await volumeOf(loaded);
      const report = await driver.check(place, dataKey);
      printData(options, report, () =>
        table(
          ["CHECK", "RESULT", "DETAIL"],
          report.findings.map(({ check, ok, detail }) => [check, ok ? "ok" : "DAMAGED", detail]),
        ),
      );
      if (!report.sound) process.exitCode = exitCodes.integrity;
    },
    { make: false },
  );
}

async function volumeOf(loaded: LoadedManifest): Promise<{
  driver: VolumeDriver;
  place: VolumePlace;
  parameters: Readonly<Record<string, string>>;
}> {
  const { volume } = loaded.manifest;
  if (volume === undefined) throw new NodeError("INPUT_INVALID", `${loaded.file} has no [volume]`);
  const place = { folder: loaded.at(volume.folder) };
  return { driver: await volumeDriver(volume.kind), place, parameters: volume.parameters };
}
