import type { ResealingProgress, SealfsControl } from "../../volume/sealfs/control/control.ts";
import type { KeysReport, ZoneReport } from "../../volume/sealfs/keys/keys-report.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, printData, table, tell } from "../output.ts";
import { keysOf, withControl } from "./volume-control.ts";

const askEveryMs = 500;
const tellEveryMs = 5000;

interface RotateOptions extends OutputOptions {
  readonly rate?: number;
  readonly wait?: true;
}

/** What can be read again from a copy of the key table taken before, and until when. */
export const whatCopiesOpen: string =
  "whoever has an older copy of the volume's key table (a backup, a snapshot) can still open it while the key manager releases this " +
  "node's data key: let such copies expire, or revoke the node and destroy its key there";

export async function runKeys(where: string, options: OutputOptions & { readonly count?: true }): Promise<void> {
  const report = options.count === true ? await withControl(where, countedKeys) : await keysOf(where);
  printData(options, report, render);
}

export async function runRotate(where: string, zone: string | undefined, options: RotateOptions): Promise<void> {
  const { rate, wait = false } = options;
  await withControl(where, async (control) => {
    const paths = zone === undefined ? livePaths(await control.keys()) : [zonePath(zone)];
    if (rate !== undefined) await control.setResealingRate(rate);
    const rotated: { zone: string; generation: number }[] = [];
    for (const path of paths) {
      const { generation } = await control.rotate(path);
      rotated.push({ zone: `/${path}`, generation });
    }
    const progress = wait ? await whenDone(control) : await control.resealing();
    printData(options, { rotated, resealing: progress }, () =>
      [
        ...rotated.map((each) => `${each.zone} is under generation ${each.generation} from now on`),
        progressLine(progress),
      ].join("\n"),
    );
    if (!wait && progress.state !== "idle")
      tell("what lies under older generations is sealed anew while the volume is open; see: strongroom volume keys");
  });
}

export async function runDestroyGeneration(
  where: string,
  zone: string,
  options: OutputOptions & { readonly generation: number },
): Promise<void> {
  const { generation } = options;
  const path = zonePath(zone);
  await withControl(where, (control) => control.destroyGeneration(path, generation));
  printData(options, { zone: `/${path}`, generation, destroyed: true, warning: whatCopiesOpen }, () =>
    [`generation ${generation} of /${path} is destroyed; nothing in the volume lies under it`, whatCopiesOpen].join(
      "\n",
    ),
  );
}

/** A zone as the volume's server names it: the folder's path without a slash at either end. */
export function zonePath(given: string): string {
  const path = given.replace(/^\/+|\/+$/g, "");
  if (path.split("/").some((name) => name === "." || name === ".." || (name === "" && path !== "")))
    throw new CommandFailure(
      exitCodes.usage,
      `${JSON.stringify(given)} is no zone: write its folder's path, or / for the volume's own`,
    );
  return path;
}

async function countedKeys(control: SealfsControl): Promise<KeysReport> {
  while ((await control.resealing()).state === "counting") await pause();
  return control.keys();
}

/** Waits until nothing lies under an older generation, telling how far it is. */
async function whenDone(control: SealfsControl): Promise<ResealingProgress> {
  let toldAtMs = performance.now();
  for (;;) {
    const progress = await control.resealing();
    if (progress.state === "idle" && progress.totalBytes > progress.doneBytes)
      throw new CommandFailure(
        exitCodes.other,
        progressLine(progress),
        "mend or remove what cannot be read, and rotate again",
      );
    if (progress.state === "idle") return progress;
    if (progress.state === "paused")
      throw new CommandFailure(exitCodes.other, `it is paused: ${progressLine(progress)}`, "give a rate: --rate 20MB");
    if (performance.now() - toldAtMs >= tellEveryMs) {
      toldAtMs = performance.now();
      tell(progressLine(progress));
    }
    await pause();
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, askEveryMs));
}

function livePaths({ zones }: KeysReport): string[] {
  return zones.filter((zone) => zone.protection !== "plain" && !zone.destroyed).map((zone) => zonePath(zone.path));
}

function progressLine({ state, doneBytes, totalBytes }: ResealingProgress): string {
  if (state === "idle" && totalBytes > doneBytes)
    return `it ended: ${totalBytes - doneBytes} bytes stay under older generations; see: strongroom volume status`;
  return state === "idle"
    ? "nothing lies under an older generation"
    : `${state}: ${doneBytes} of ${totalBytes} bytes are sealed anew`;
}

function render(report: KeysReport): string {
  const wrapped = report.wrappedBy === "table key" ? "the table key" : `the SM2 key ${report.publicKey}`;
  return [
    `suite ${report.suite}, keys of sealed zones wrapped by ${wrapped}, key table at record ${report.sequence}`,
    "",
    table(["ZONE", "PROTECTION", "GENERATION", "STATE", "MADE", "BYTES"], report.zones.flatMap(rowsOf)),
  ].join("\n");
}

function rowsOf({ path, protection, destroyed, generations }: ZoneReport): string[][] {
  if (generations.length === 0) return [[path, protection, "-", destroyed ? "destroyed" : "-", "-", "-"]];
  // What lies in a zone lies under its only generation, counted or not.
  const uncounted = generations.length === 1 ? "all" : "not counted";
  return generations.map((one) => [
    path,
    protection,
    String(one.generation),
    one.state,
    one.madeAt,
    one.sealedBytes === undefined ? uncounted : String(one.sealedBytes),
  ]);
}
