import { Command } from "commander";
import type { DeviceState } from "../client/protocol.ts";
import type { DeviceEntry } from "../devices/catalogue/entry.ts";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { benchCommand } from "./device/bench.ts";
import { envelopeCommand } from "./device/envelope.ts";
import { keysCommand } from "./device/keys.ts";
import { type CatalogueOptions, catalogueOf, openDevice, withCatalogue } from "./device/named-device.ts";
import { testCommand } from "./device/test.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { type OutputOptions, printData, table, tell, withJson } from "./output.ts";

type Options = CatalogueOptions & OutputOptions;
type RemoteOptions = ConnectionOptions & OutputOptions;

export function command(): Command {
  const device = new Command("device").description("Cipher cards (GM/T 0018), PKCS#11 tokens, and keys in a KMS.");
  device.addHelpText(
    "after",
    `
Devices are named in a devices.toml (docs/operations.md shows one). A key manager uses the one in its data folder, once an
administrator has trusted it. Every other command here works on the device itself, with --data DIR or --devices FILE.

Example:
  strongroom device info card-1 --devices ./devices.toml
  strongroom device test card-1 --devices ./devices.toml > report.txt
  strongroom device trust --data ./km`,
  );
  device.addCommand(
    withJson(withCatalogue(new Command("list").description("the devices that devices.toml names"))).action(
      async (options: Options) => {
        const { entries } = await catalogueOf(options);
        printData(options, [...entries.values()], (all) =>
          table(
            ["NAME", "KIND", "LIBRARY OR MEMBERS"],
            all.map((each) => [each.name, each.kind, placeOf(each)]),
          ),
        );
      },
    ),
  );
  device.addCommand(
    withJson(
      withCatalogue(
        new Command("info").description("open a device and show what it says of itself").argument("<name>"),
      ),
    ).action(runInfo),
  );
  device.addCommand(
    withJson(withConnection(new Command("status").description("the devices of a key manager, as it has them"))).action(
      (options: RemoteOptions) =>
        withClient(options, async (client) =>
          printData(options, await client.devices.list(), (all) =>
            table(
              ["NAME", "KIND", "STATE", "TRUST", "SESSIONS", "QUEUE", "USES", "FAILED", "DETAIL"],
              all.map((each) => [
                each.name,
                each.kind,
                each.state,
                each.trust,
                String(each.sessions),
                String(each.queue),
                String(each.uses),
                failuresOf(each),
                withLastError(each),
              ]),
            ),
          ),
        ),
    ),
  );
  device.addCommand(
    withConnection(
      new Command("trust").description("let the key manager use devices.toml as it lies in its data folder now"),
    )
      .option("--sha256 <hex>", "the file's SHA-256, where it is not on this machine")
      .action(runTrust),
  );
  device.addCommand(keysCommand());
  device.addCommand(testCommand());
  device.addCommand(benchCommand());
  device.addCommand(envelopeCommand());
  return device;
}

async function runInfo(name: string, options: Options): Promise<void> {
  await using opened = await openDevice(await catalogueOf(options), name);
  const { capabilities, info } = { capabilities: opened.device.capabilities(), info: infoOf(opened.device) };
  const { state, detail } = await opened.device.health();
  printData(options, { name, state, detail, capabilities, info }, () => {
    const facts: [string, unknown][] = [
      ["name", name],
      ["state", `${state}: ${detail}`],
      ["suites", capabilities.suites.join(" ")],
      ["specs", capabilities.specs.join(" ") || "none"],
      ...Object.entries(info),
    ];
    const width = Math.max(...facts.map(([key]) => key.length));
    return facts.map(([key, value]) => `${key.padEnd(width)}  ${value}`).join("\n");
  });
}

/** What a device with a library says of itself; nothing of one without. */
export function infoOf(device: object): Readonly<Record<string, string | number | boolean>> {
  if (!("info" in device) || typeof device.info !== "object" || device.info === null) return {};
  return device.info as Readonly<Record<string, string | number | boolean>>;
}

function withLastError({ detail, lastError }: DeviceState): string {
  return lastError === null || detail.includes(lastError.message) ? detail : `${detail}; last: ${lastError.message}`;
}

function failuresOf({ failures }: DeviceState): string {
  const kinds = Object.entries(failures).map(([kind, times]) => `${times} ${kind}`);
  return kinds.join(", ") || "0";
}

async function runTrust(options: RemoteOptions & { readonly sha256?: string }): Promise<void> {
  const sha256 = options.sha256 ?? (await sha256OfFolder(options));
  await withClient(options, async (client) => {
    const names = await client.devices.trust(sha256);
    tell(`devices.toml with SHA-256 ${sha256} is trusted: ${names.join(", ") || "it names no device"}`);
  });
}

async function sha256OfFolder({ data }: RemoteOptions): Promise<string> {
  if (data === undefined)
    throw new CommandFailure(exitCodes.usage, "--sha256 says which devices.toml is meant on another machine");
  const { entries, sha256 } = await catalogueOf({ data });
  for (const entry of entries.values()) tell(`${entry.name}: ${entry.kind} ${placeOf(entry)}`);
  return sha256;
}

function placeOf(entry: DeviceEntry): string {
  if (entry.kind === "set") return entry.members.join(", ");
  return entry.kind === "aws-kms" ? (entry.endpoint ?? `AWS ${entry.region}`) : entry.library;
}
