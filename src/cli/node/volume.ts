import { NodeError } from "../../node/errors.ts";
import { type LoadedManifest, loadManifest } from "../../node/manifest-reader.ts";
import { isAnchored, nodeAnchor } from "../../node/volume-anchor.ts";
import { anchoredAtKeyManager } from "../../volume/anchor.ts";
import { volumeDriver } from "../../volume/drivers.ts";
import { VolumeError } from "../../volume/errors.ts";
import type { ServerFindings } from "../../volume/sealfs/control/control.ts";
import type { VolumeDriver, VolumePlace } from "../../volume/volume.ts";
import { exitCodes } from "../failure.ts";
import { type OutputOptions, printData, table, tell } from "../output.ts";
import { withDataKey } from "./seal.ts";

export async function runCreate(where: string, options: OutputOptions & { readonly anchor?: true }): Promise<void> {
  await withDataKey(where, async (loaded, dataKey) => {
    const { driver, place, parameters } = await volumeOf(loaded);
    const description = await driver.create(place, dataKey, {
      suite: loaded.manifest.dataKey.suite,
      parameters: options.anchor === true ? { ...parameters, anchor: anchoredAtKeyManager } : parameters,
    });
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
      using anchor = nodeAnchor(loaded);
      const opened = await driver.open(place, dataKey, { outliveOwner: true, anchor });
      const { dataPath, temporaryPath, logPath } = opened;
      printData(options, { dataPath, temporaryPath, logPath }, () => dataPath);
    },
    { make: false },
  );
}

export async function runClose(where: string, { cutOff = false }: { cutOff?: boolean }): Promise<void> {
  const loaded = loadManifest(where);
  const { driver, place } = await volumeOf(loaded);
  const { state, description } = await driver.status(place);
  const findings = state === "open" ? await findingsOf(driver, place) : undefined;
  for (const line of findings?.latest ?? []) tell(`warning: found while it was open: ${line}`);
  await driver.close(place, { whenBusy: cutOff ? "cutOff" : "refuse" });
  tell(`${place.folder} is locked`);
  if (description === undefined || !isAnchored({ description })) return;
  await withDataKey(
    where,
    async (_, dataKey) => {
      using anchor = nodeAnchor(loaded);
      await driver.anchor(place, dataKey, anchor);
    },
    { make: false },
  );
}

export async function runStatus(where: string, options: OutputOptions): Promise<void> {
  const { driver, place } = await volumeOf(loadManifest(where));
  const status = await driver.status(place);
  const findings = status.state === "open" ? await findingsOf(driver, place) : undefined;
  printData(options, { ...status, folder: place.folder, ...(findings === undefined ? {} : { findings }) }, () =>
    [`${driver.kind} volume ${place.folder}: ${status.state}`, status.detail, ...damageLines(findings)].join("\n"),
  );
}

/** What the server of an open volume has found wrong; undefined where there is none, or this user may not ask it. */
async function findingsOf(driver: VolumeDriver, place: VolumePlace): Promise<ServerFindings | undefined> {
  if (driver.kind !== "sealfs") return undefined;
  const { connectSealfsControl } = await import("../../volume/sealfs/control/client.ts");
  try {
    await using control = await connectSealfsControl(place);
    return await control.findings();
  } catch (error) {
    if (error instanceof VolumeError) return undefined;
    throw error;
  }
}

function damageLines(findings: ServerFindings | undefined): string[] {
  if (findings === undefined) return [];
  const { count, latest } = findings;
  return count === 0
    ? ["nothing was found damaged since it was opened"]
    : [`found damaged, ${count} times:`, ...latest];
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

/** The volume that a manifest names. @throws {NodeError} `INPUT_INVALID` when it names none. */
export async function volumeOf(loaded: LoadedManifest): Promise<{
  driver: VolumeDriver;
  place: VolumePlace;
  parameters: Readonly<Record<string, string>>;
}> {
  const { volume } = loaded.manifest;
  if (volume === undefined) throw new NodeError("INPUT_INVALID", `${loaded.file} has no [volume]`);
  const place = { folder: loaded.at(volume.folder) };
  return { driver: await volumeDriver(volume.kind), place, parameters: volume.parameters };
}
