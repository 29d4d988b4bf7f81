import { NodeError } from "../../node/errors.ts";
import type { ZoneRule } from "../../volume/sealfs/keys/rules.ts";
import type { ZoneProtection } from "../../volume/sealfs/keys/zone.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, printData, table, tell } from "../output.ts";
import { isVolumeOpen, withControl } from "./volume-control.ts";
import { whatCopiesOpen, zonePath } from "./volume-keys.ts";
import { rekeyNode, whatIsLeft } from "./volume-rekey.ts";

const protections: readonly ZoneProtection[] = ["sealed", "table-sealed", "plain"];

export async function runList(where: string, options: OutputOptions): Promise<void> {
  show(options, await withControl(where, (control) => control.rules()));
}

/** Adds rules, or changes what those of the same pattern say. */
export async function runSet(where: string, given: readonly string[], options: OutputOptions): Promise<void> {
  const wanted = given.map(ruleOf);
  const rules = await withControl(where, async (control) => {
    const replaced = new Set(wanted.map(({ pattern }) => pattern));
    const kept = (await control.rules()).filter(({ pattern }) => !replaced.has(pattern));
    await control.setRules([...kept, ...wanted]);
    return control.rules();
  });
  show(options, rules);
}

export async function runRemove(where: string, patterns: readonly string[], options: OutputOptions): Promise<void> {
  const removed = new Set(patterns.map(patternOf));
  const rules = await withControl(where, async (control) => {
    const before = await control.rules();
    const absent = [...removed].find((pattern) => !before.some((rule) => rule.pattern === pattern));
    if (absent !== undefined)
      throw new CommandFailure(
        exitCodes.other,
        `there is no zone rule ${JSON.stringify(absent)}`,
        "see: strongroom volume zones list",
      );
    await control.setRules(before.filter(({ pattern }) => !removed.has(pattern)));
    return control.rules();
  });
  show(options, rules);
}

interface DestroyOptions extends OutputOptions {
  readonly yes?: true;
  /** False: the volume stays under its data key. */
  readonly rekey: boolean;
}

/**
 * Without `--yes` it says what would be lost, and changes nothing. A volume that is locked is put under a new data key as well, so that
 * older copies of its key table open the zone no more; for one that is open that is left to be done.
 */
export async function runDestroy(where: string, zone: string, options: DestroyOptions): Promise<void> {
  const path = zonePath(zone);
  if (options.yes !== true)
    throw new CommandFailure(
      exitCodes.usage,
      `this destroys the keys of /${path} for good: nothing that lies in it can be read again, by anyone`,
      "say --yes",
    );
  const isOpen = await isVolumeOpen(where);
  await withControl(where, (control) => control.destroyZone(path));
  const rekeyed = options.rekey && !isOpen && (await rekeyedAfter(where, path));
  const warning = rekeyed
    ? whatIsLeft
    : `${whatCopiesOpen}. Once the volume is locked, put it under a new data key: strongroom volume rekey`;
  printData(options, { zone: `/${path}`, destroyed: true, rekeyed, warning }, () =>
    [`the keys of /${path} are destroyed${rekeyed ? ", and the volume is under a new data key" : ""}`, warning].join(
      "\n",
    ),
  );
}

/** @returns False for a node whose data key cannot be replaced. @throws {CommandFailure} When it could be, but was not. */
async function rekeyedAfter(where: string, path: string): Promise<boolean> {
  try {
    await rekeyNode(where);
    return true;
  } catch (error) {
    if (error instanceof NodeError && error.code === "INPUT_INVALID") {
      tell(`the data key stays: ${error.message}`);
      return false;
    }
    throw new CommandFailure(
      exitCodes.other,
      `the keys of /${path} are destroyed, but the volume is not under a new data key: ${(error as Error).message}`,
      "finish it: strongroom volume rekey",
    );
  }
}

export async function runSweep(where: string, options: OutputOptions): Promise<void> {
  const removed = await withControl(where, (control) => control.sweep());
  printData(options, { removed }, () =>
    removed.length === 0 ? "every zone has its folder" : removed.map((path) => `removed /${path}`).join("\n"),
  );
}

/** `PATTERN=PROTECTION`; the last = counts, since a name may hold one. */
export function ruleOf(text: string): ZoneRule {
  const at = text.lastIndexOf("=");
  const becomes = protections.find((known) => known === text.slice(at + 1));
  if (at < 1 || becomes === undefined)
    throw new CommandFailure(
      exitCodes.usage,
      `${JSON.stringify(text)} is no zone rule: write PATTERN=${protections.join("|")}, as in 'data/*=sealed'`,
    );
  return { pattern: patternOf(text.slice(0, at)), becomes };
}

function patternOf(text: string): string {
  return text.replace(/^\/+|\/+$/g, "");
}

function show(options: OutputOptions, rules: readonly ZoneRule[]): void {
  printData(options, { rules }, () =>
    rules.length === 0
      ? "no rules: new folders belong to the zone of the folder they are in"
      : table(
          ["PATTERN", "BECOMES"],
          rules.map(({ pattern, becomes }) => [pattern, becomes]),
        ),
  );
}
