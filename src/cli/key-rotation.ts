import { Command, InvalidArgumentError, Option } from "commander";
import type { RotationStatus } from "../client/protocol.ts";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { type OutputOptions, printData, table, withJson } from "./output.ts";

type Options = ConnectionOptions & OutputOptions;

/** `strongroom key rotation …`: rotation by the calendar; `key rotate` rotates at once. */
export function rotationCommand(): Command {
  const rotation = new Command("rotation").description("Automatic rotation of a key, by the calendar.");
  rotation.addHelpText(
    "after",
    `
Example:
  strongroom key rotation enable alias/nodes --period-days 180 --data ./km
  strongroom key rotation status alias/nodes --data ./km --json
  strongroom key rotation list alias/nodes --data ./km`,
  );
  rotation.addCommand(
    onKey("enable", "make a new version every so many days, the first one period from now")
      .addOption(new Option("--period-days <days>", "90 to 2560 (default: 365)").argParser(wholeDays))
      .action((key: string, options: Options & { periodDays?: number }) =>
        withClient(options, async (client) => show(options, await client.rotation.enable(key, options.periodDays))),
      ),
  );
  rotation.addCommand(
    onKey("disable", "make no new version by itself any more").action((key: string, options: Options) =>
      withClient(options, async (client) => show(options, await client.rotation.disable(key))),
    ),
  );
  rotation.addCommand(
    onKey("status", "show whether and when the key is rotated").action((key: string, options: Options) =>
      withClient(options, async (client) => show(options, await client.rotation.status(key))),
    ),
  );
  rotation.addCommand(
    onKey("list", "list the versions of the key's material").action((key: string, options: Options) =>
      withClient(options, async (client) =>
        printData(options, await client.rotation.list(key), (rotations) =>
          table(
            ["VERSION", "AT", "KIND", "MATERIAL ID"],
            rotations.map(({ version, at, kind, materialId }) => [String(version), at, kind, materialId]),
          ),
        ),
      ),
    ),
  );
  return rotation;
}

function onKey(name: string, purpose: string): Command {
  return withJson(withConnection(new Command(name).description(purpose).argument("<key>", "id, alias or ARN")));
}

function show(options: OutputOptions, status: RotationStatus): void {
  printData(options, status, ({ enabled, periodDays, nextAt }) =>
    enabled ? `every ${periodDays} days, next at ${nextAt ?? "an unknown time"}` : "off",
  );
}

function wholeDays(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError("a whole number of days, 90 to 2560");
  return Number(text);
}
