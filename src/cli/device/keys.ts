import { writeFileSync } from "node:fs";
import { Command, Option } from "commander";
import { entryOf } from "../../devices/catalogue/read.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, printData, table, tell, withJson } from "../output.ts";
import {
  type CatalogueOptions,
  catalogueOf,
  choiceOf,
  type KeyChoiceOptions,
  openDevice,
  withCatalogue,
  withKeyChoice,
} from "./named-device.ts";

type Options = CatalogueOptions & OutputOptions;

/** `device keys`: what is in a card or token. */
export function keysCommand(): Command {
  const keys = new Command("keys").description("the keys in a card or token: list, generate, import, export-public");
  keys.addCommand(
    withJson(
      withCatalogue(
        new Command("list").description("list its keys; of a card, those of key_indices").argument("<name>"),
      ),
    ).action(runList),
  );
  keys.addCommand(
    withCatalogue(new Command("generate").description("make a key pair inside a token").argument("<name>"))
      .requiredOption("--label <label>", "its CKA_LABEL")
      .addOption(
        new Option("--spec <spec>", "which curve")
          .choices(["ECC_NIST_P256", "ECC_SECG_P256K1"])
          .default("ECC_NIST_P256"),
      )
      .option("--out <file>", "write its public key here, PEM")
      .action(runGenerate),
  );
  keys.addCommand(
    withCatalogue(
      new Command("import").description("how a key made elsewhere gets into a device").argument("<name>"),
    ).action(runImport),
  );
  keys.addCommand(
    withKeyChoice(
      withCatalogue(
        new Command("export-public").description("write the public key of a signing key pair, PEM").argument("<name>"),
      ),
    )
      .option("--out <file>", "a file, by default standard output")
      .action(runExport),
  );
  return keys;
}

async function runList(name: string, options: Options): Promise<void> {
  const catalogue = await catalogueOf(options);
  const { listDeviceKeys } = await import("../../devices/catalogue/device-keys.ts");
  await using opened = await openDevice(catalogue, name);
  const found = await listDeviceKeys(catalogue, entryOf(catalogue, name), opened.device);
  const shownKeys = found.map(({ spki, ...each }) => ({ ...each, publicKey: spki?.toString("base64") ?? null }));
  printData(options, shownKeys, (all) =>
    table(
      ["NAME", "KIND", "LABEL", "USAGES"],
      all.map((each) => [each.name, each.kind, each.label, each.usages.join(" ")]),
    ),
  );
}

async function runGenerate(
  name: string,
  options: CatalogueOptions & {
    readonly label: string;
    readonly spec: "ECC_NIST_P256" | "ECC_SECG_P256K1";
    readonly out?: string;
  },
): Promise<void> {
  const { Pkcs11Device } = await import("../../devices/pkcs11/device.ts");
  await using opened = await openDevice(await catalogueOf(options), name);
  if (!(opened.device instanceof Pkcs11Device))
    throw new CommandFailure(
      exitCodes.usage,
      `device ${name} makes no key pairs: GM/T 0018 has no call for it`,
      "make them with the card's own management program, then name their indices in key_indices",
    );
  const { token } = opened.device;
  if ((await token.list()).some(({ label }) => label === options.label))
    throw new CommandFailure(exitCodes.other, `the token has a key ${JSON.stringify(options.label)} already`);
  const { id, spki } = await token.generateKeyPair(options.label, options.spec);
  tell(`key pair id:${id.toString("hex")} was made in ${name}`);
  writePem(spki, options.out);
}

async function runImport(name: string, options: CatalogueOptions): Promise<void> {
  const { kind } = entryOf(await catalogueOf(options), name);
  throw new CommandFailure(
    exitCodes.usage,
    `a private key is not imported into device ${name} (${kind}) from here: ${kind === "sdf" ? "GM/T 0018 has no call for it" : "a key that has been outside is no device key"}`,
    "use the vendor's own management program, or make the key in the device and export its public key",
  );
}

async function runExport(
  name: string,
  options: CatalogueOptions & KeyChoiceOptions & { readonly out?: string },
): Promise<void> {
  const choice = choiceOf(options);
  if (choice === undefined) throw new CommandFailure(exitCodes.usage, "say which key: --key-index N, or --key-id ID");
  const catalogue = await catalogueOf(options);
  const { listDeviceKeys } = await import("../../devices/catalogue/device-keys.ts");
  await using opened = await openDevice(catalogue, name);
  const wanted = String(choice.keyIndex ?? choice.keyId);
  const found = await listDeviceKeys(catalogue, entryOf(catalogue, name), opened.device);
  const key = found.find((each) => each.spki !== null && (each.name === wanted || each.label === wanted));
  if (key?.spki == null)
    throw new CommandFailure(
      exitCodes.other,
      `device ${name} has no key pair ${JSON.stringify(wanted)}`,
      "strongroom device keys list shows them; of a card, those that key_indices names",
    );
  writePem(key.spki, options.out);
}

function writePem(spki: Buffer, out: string | undefined): void {
  const lines = spki.toString("base64").match(/.{1,64}/g) ?? [];
  const pem = `-----BEGIN PUBLIC KEY-----\n${lines.join("\n")}\n-----END PUBLIC KEY-----\n`;
  if (out === undefined) process.stdout.write(pem);
  else writeFileSync(out, pem, { flag: "wx" });
}
