import { Command, InvalidArgumentError } from "commander";
import { withJson } from "../output.ts";

const node = "folder with node.toml, or the manifest itself";
const zone = "the zone's folder in the volume, or / for the volume's own";

/** `strongroom volume keys|rotate|zones|rekey`: the keys of a sealfs volume, by zone. */
export function keyCommands(): Command[] {
  return [keysCommand(), rotateCommand(), zonesCommand(), rekeyCommand()];
}

function rekeyCommand(): Command {
  return withJson(new Command("rekey"))
    .description("put a locked sealfs volume, and with it the node, under a new data key; asks the key manager")
    .argument("[node]", node, ".")
    .addHelpText(
      "after",
      `
After keys of zones or generations were destroyed: copies of the volume's older key table then need the old data key as well.
Interrupted, it is run again.

Example:
  strongroom volume rekey ./node-1`,
    )
    .action(async (where, options) => (await import("../node/volume-rekey.ts")).runRekey(where, options));
}

function keysCommand(): Command {
  const keys = withJson(new Command("keys"))
    .description("zones of a sealfs volume, their key generations, and the bytes on each")
    .argument("[node]", node, ".")
    .option("--count", "count the bytes on each generation; a locked volume is opened for it")
    .addHelpText("after", "\nExample:\n  strongroom volume keys ./node-1 --count")
    .action(async (where, options) => (await import("../node/volume-keys.ts")).runKeys(where, options));
  keys.addCommand(
    withJson(new Command("destroy"))
      .description("destroy an older generation's key, after every block was read and none found under it")
      .argument("<node>", node)
      .argument("<zone>", zone)
      .requiredOption("--generation <number>", "which", wholeNumber)
      .addHelpText("after", "\nExample:\n  strongroom volume keys destroy ./node-1 / --generation 1")
      .action(async (where, which, options) =>
        (await import("../node/volume-keys.ts")).runDestroyGeneration(where, which, options),
      ),
  );
  return keys;
}

function rotateCommand(): Command {
  return withJson(new Command("rotate"))
    .description("begin a new key generation: new data is sealed under it at once, older data in the background")
    .argument("<node>", node)
    .argument("[zone]", `${zone}; by default all`)
    .option("--rate <bytes>", "seal at most so much anew in a second, for example 20MB; 0 pauses", rate)
    .option("--wait", "until nothing lies under an older generation")
    .addHelpText("after", "\nExample:\n  strongroom volume rotate ./node-1 --rate 20MB --wait")
    .action(async (where, which, options) => (await import("../node/volume-keys.ts")).runRotate(where, which, options));
}

function zonesCommand(): Command {
  const zones = new Command("zones").description("which folders have keys of their own");
  zones.addCommand(
    withJson(new Command("list"))
      .description("the rules by which folders become zones when they are made")
      .argument("[node]", node, ".")
      .addHelpText("after", "\nExample:\n  strongroom volume zones list ./node-1")
      .action(async (where, options) => (await import("../node/volume-zones.ts")).runList(where, options)),
  );
  zones.addCommand(
    withJson(new Command("set"))
      .description("add rules, or change those of the same pattern; zones that were made stay what they are")
      .argument("<node>", node)
      .argument("<rules...>", "PATTERN=sealed|table-sealed|plain; * is any one name")
      .addHelpText("after", "\nExample:\n  strongroom volume zones set ./node-1 'data/*=sealed' 'data/public=plain'")
      .action(async (where, rules, options) => (await import("../node/volume-zones.ts")).runSet(where, rules, options)),
  );
  zones.addCommand(
    withJson(new Command("remove"))
      .description("remove rules by their patterns; zones that were made stay what they are")
      .argument("<node>", node)
      .argument("<patterns...>", "as list shows them")
      .addHelpText("after", "\nExample:\n  strongroom volume zones remove ./node-1 'data/*'")
      .action(async (where, patterns, options) =>
        (await import("../node/volume-zones.ts")).runRemove(where, patterns, options),
      ),
  );
  zones.addCommand(
    withJson(new Command("destroy"))
      .description("destroy a zone's keys: what lies in it cannot be read again")
      .argument("<node>", node)
      .argument("<zone>", zone)
      .option("--yes", "really")
      .option("--no-rekey", "leave a locked volume under its data key")
      .addHelpText(
        "after",
        `
A locked volume is put under a new data key as well (strongroom volume rekey); for an open one do so once it is locked. Until then a copy of the volume's key table that was taken before (a backup, a snapshot) still holds the zone's keys, and opens while the key
manager releases this node's data key: keep no such copies, or let them expire.

Example:
  strongroom volume zones destroy ./node-1 data/tenant-7 --yes`,
      )
      .action(async (where, which, options) =>
        (await import("../node/volume-zones.ts")).runDestroy(where, which, options),
      ),
  );
  zones.addCommand(
    withJson(new Command("sweep"))
      .description("remove the zones whose folders are gone, with their keys")
      .argument("[node]", node, ".")
      .addHelpText("after", "\nExample:\n  strongroom volume zones sweep ./node-1")
      .action(async (where, options) => (await import("../node/volume-zones.ts")).runSweep(where, options)),
  );
  return zones;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^[0-9]{1,10}$/.test(text) || value < 1) throw new InvalidArgumentError("a whole number from 1 is expected");
  return value;
}

/** Bytes in a second: a whole number with kB, MB or GB (powers of ten), or 0 to pause. */
export function rate(text: string): number {
  const [, digits, unit = ""] = /^([0-9]{1,12})(k|kB|M|MB|G|GB|B)?$/i.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError("write for example 20MB, or 0 to pause");
  const factors: Readonly<Record<string, number>> = { k: 1e3, m: 1e6, g: 1e9 };
  const bytes = Number(digits) * (factors[unit.slice(0, 1).toLowerCase()] ?? 1);
  if (!Number.isSafeInteger(bytes)) throw new InvalidArgumentError("the rate is out of range");
  return bytes;
}
