import { Command, Option } from "commander";
import { readSecretDescriptor, readSecretFile, type SecretReading } from "../../crypto/secret-file.ts";
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
  withKeyPairChoice,
} from "./named-device.ts";
import { mustBeNew, writeNewFile } from "./new-file.ts";

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
    withCatalogue(
      new Command("generate")
        .description("make a key pair inside a token (a card's are made with its vendor's program)")
        .argument("<name>"),
    )
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
      new Command("import")
        .description("put a private key that was made elsewhere into a token, which does not give it out again")
        .argument("<name>"),
    )
      .option("--label <label>", "its CKA_LABEL in the token")
      .option(
        "--key-file <file>",
        "PEM on P-256, secp256k1 or Ed25519 (mode 0600 or 0400, owned by you); - reads standard input",
      )
      .option("--out <file>", "write its public key here, PEM")
      .addHelpText(
        "after",
        `
The token has to sign with the key once before it counts as imported. A key of which a copy was on a disk is no better kept than that copy:
destroy the file afterwards, or make the key in the token (strongroom device keys generate).

GM/T 0018 has no call that stores a key pair: into a card it goes by the vendor's own program. strongroom chain build -n FOLDER then takes
its index.`,
      )
      .action(runImport),
  );
  keys.addCommand(
    withKeyPairChoice(
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
  const catalogue = await catalogueOf(options);
  if (entryOf(catalogue, name).kind === "set") throw notIntoSet(name);
  if (options.out !== undefined) mustBeNew(options.out);
  await using opened = await openDevice(catalogue, name);
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

interface ImportOptions extends CatalogueOptions {
  readonly label?: string;
  readonly keyFile?: string;
  readonly out?: string;
}

async function runImport(name: string, options: ImportOptions): Promise<void> {
  const { kind } = entryOf(await catalogueOf(options), name);
  if (kind === "sdf" || kind === "aws-kms")
    throw new CommandFailure(
      exitCodes.usage,
      `a private key is not imported into device ${name} (${kind}) from here: ${kind === "sdf" ? "GM/T 0018 has no call for it" : "a key of a KMS is made there"}`,
      kind === "sdf"
        ? "use the vendor's management program (docs/hsm.md shows the test card's), and name the index in key_indices; strongroom chain build -n FOLDER takes imported indices"
        : "strongroom key create --origin external takes material for a key of this key manager",
    );
  if (kind === "set") throw notIntoSet(name);
  const { label, keyFile } = options;
  if (label === undefined || keyFile === undefined)
    throw new CommandFailure(
      exitCodes.usage,
      "a key is imported with --label LABEL and --key-file FILE (- for standard input)",
    );
  if (options.out !== undefined) mustBeNew(options.out);
  const [{ Pkcs11Device }, { readImportedKey }] = await Promise.all([
    import("../../devices/pkcs11/device.ts"),
    import("../../devices/pkcs11/private-key-file.ts"),
  ]);
  using pem = keyFile === "-" ? readSecretDescriptor(0, "standard input", reading) : readSecretFile(keyFile, reading);
  using key = readImportedKey(pem);
  await using opened = await openDevice(await catalogueOf(options), name);
  if (!(opened.device instanceof Pkcs11Device)) throw new TypeError(`device ${name} is of kind pkcs11 and no token`);
  const { token } = opened.device;
  if ((await token.list()).some((each) => each.label === label))
    throw new CommandFailure(exitCodes.other, `the token has a key ${JSON.stringify(label)} already`);
  const { id, spki } = await token.importKeyPair(label, key);
  tell(`key pair id:${id.toString("hex")} was imported into ${name}, and has signed there`);
  writePem(spki, options.out);
}

/** Of a failover set one member would get the key, and the set's members would hold different keys from then on. */
function notIntoSet(name: string): CommandFailure {
  return new CommandFailure(exitCodes.usage, `${name} is a failover set: name the member that the key goes into`);
}

const reading: SecretReading = {
  what: "private key",
  fileName: "key file",
  refusal: (message, { hint }) => new CommandFailure(exitCodes.usage, message, hint),
};

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
  else writeNewFile(out, pem);
}
