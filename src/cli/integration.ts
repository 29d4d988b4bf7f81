import { readFileSync } from "node:fs";
import { Command, Option } from "commander";
import type { IntegrationDescription } from "../client/protocol.ts";
import type { StoredIntegration } from "../node/kms/integration-folder.ts";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { type OutputOptions, printData, table, tell, withJson } from "./output.ts";
import { readSecretFile, readUnlockSecret } from "./unlock-secret.ts";

interface PlaceOptions extends ConnectionOptions, OutputOptions {
  /** Folder of the integrations on this host. */
  readonly store?: string;
}

interface CreateOptions extends PlaceOptions {
  readonly region: string;
  readonly apiKey: string;
  readonly apiSecretFile: string;
  readonly masterKey?: string;
  readonly endpoint?: string;
  readonly caFile?: string;
  readonly slot: "passphrase" | "key-file";
}

/** What is shown of an integration, wherever it is kept. */
type Shown = Pick<IntegrationDescription, "name" | "region" | "apiKey" | "masterKey" | "createdAt"> & {
  readonly endpoint?: string | null;
  readonly caPem?: string | null;
};

export function command(): Command {
  const integration = new Command("integration").description(
    "Integrations with a KMS: AWS KMS, another Strongroom, or what speaks the same.",
  );
  integration.addHelpText(
    "after",
    `
With --store DIR an integration is kept on this host, for the nodes here (strongroom node init --integration NAME).
With --data DIR (or --server) it is kept in a key manager, for its master keys (strongroom key create --origin aws-kms).
The secret is sealed, and never shown again.

Exit codes:
  0 done   1 no such integration, it exists already, or is in use   2 usage   3 refused   4 unreachable   5 integrity

Example:
  strongroom integration create kms-1 --region eu-west-1 --api-key AKIA… --api-secret-file secret \\
    --master-key alias/kaleido --store ./integrations --unlock-file ./unlock
  strongroom integration list --store ./integrations`,
  );
  integration.addCommand(createCommand());
  integration.addCommand(
    withPlace(new Command("list").description("list the integrations")).action(async (options: PlaceOptions) =>
      show(options, await (options.store === undefined ? listRemote(options) : (await folderAt(options)).list())),
    ),
  );
  integration.addCommand(
    withPlace(
      new Command("show").description("one integration, without its secret").argument("<name>", "its name"),
    ).action(async (name: string, options: PlaceOptions) =>
      show(
        options,
        await (options.store === undefined
          ? withClient(options, (client) => client.integrations.describe(name))
          : (await folderAt(options)).describe(name)),
      ),
    ),
  );
  integration.addCommand(
    withPlace(new Command("delete").description("remove one that nothing uses").argument("<name>", "its name")).action(
      async (name: string, options: PlaceOptions) => {
        if (options.store === undefined) await withClient(options, (client) => client.integrations.delete(name));
        else await deleteStored(name, options);
        tell(`integration ${name} is gone; its access key is still good at the KMS`);
      },
    ),
  );
  return integration;
}

function createCommand(): Command {
  return withPlace(new Command("create").description("keep the settings and the secret of an access key at a KMS"))
    .argument("<name>", "1 to 64 letters, digits or ._@-")
    .requiredOption("--region <region>", "region of the KMS, such as eu-west-1")
    .requiredOption("--api-key <id>", "access key id")
    .requiredOption("--api-secret-file <file>", "file with the secret access key (mode 0600 or 0400, owned by you)")
    .option("--master-key <key>", "id, ARN, alias/NAME or alias ARN of the master key (default: alias/kaleido)")
    .option("--endpoint <url>", "https://HOST[:PORT] of the KMS (default: AWS's own of the region)")
    .option("--ca-file <file>", "certificate that the endpoint chains to (default: the public authorities)")
    .addOption(
      new Option("--slot <kind>", "with a new --store: how the unlock secret opens it")
        .choices(["passphrase", "key-file"])
        .default("passphrase"),
    )
    .action(runCreate);
}

async function runCreate(name: string, options: CreateOptions): Promise<void> {
  onePlace(options);
  using apiSecret = readSecretFile(options.apiSecretFile);
  const { defaultMasterKeys } = await import("../devices/aws-kms/settings.ts");
  const { region, apiKey, masterKey = defaultMasterKeys.integration, endpoint, caFile } = options;
  const settings = {
    region,
    apiKey,
    masterKey,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(caFile === undefined ? {} : { caPem: readCa(caFile) }),
  };
  if (options.store === undefined) {
    await withClient(options, async (client) =>
      show(options, await client.integrations.create({ name, ...settings, apiSecret })),
    );
    return;
  }
  using unlock = await readUnlockSecret(options);
  show(options, await (await folderAt(options)).create(name, settings, apiSecret, unlock, options.slot));
}

function listRemote(options: PlaceOptions): Promise<readonly Shown[]> {
  return withClient(options, (client) => client.integrations.list());
}

async function deleteStored(name: string, options: PlaceOptions): Promise<void> {
  const [{ loadManifest }, { NodeError }] = await Promise.all([
    import("../node/manifest-reader.ts"),
    import("../node/errors.ts"),
  ]);
  const folder = await folderAt(options);
  folder.describe(name);
  const users = folder.nodesOf(name).filter((file) => {
    try {
      return loadManifest(file).manifest.kms?.integration === name;
    } catch {
      return false;
    }
  });
  if (users.length > 0)
    throw new NodeError("INTEGRATION_IN_USE", `integration ${name} is used by ${users.join(", ")}`, {
      hint: "destroy the node, or give its manifest another integration, first",
    });
  folder.delete(name);
}

async function folderAt(options: PlaceOptions) {
  onePlace(options);
  const { IntegrationFolder } = await import("../node/kms/integration-folder.ts");
  return new IntegrationFolder(options.store ?? "");
}

function onePlace({ store, data, server }: PlaceOptions): void {
  if (store !== undefined && (data !== undefined || server !== undefined))
    throw new CommandFailure(exitCodes.usage, "an integration is kept in one place: --store DIR, or a key manager");
}

function withPlace(command: Command): Command {
  return withJson(withConnection(command.option("--store <dir>", "folder of the integrations on this host")));
}

function readCa(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new CommandFailure(exitCodes.usage, `${file} cannot be read: ${(cause as NodeJS.ErrnoException).code}`);
  }
}

function show(options: OutputOptions, value: Shown | StoredIntegration | readonly (Shown | StoredIntegration)[]): void {
  printData(options, value, () =>
    table(
      ["NAME", "REGION", "ACCESS KEY", "MASTER KEY", "ENDPOINT", "CREATED"],
      [value]
        .flat()
        .map((each) => [
          each.name,
          each.region,
          each.apiKey,
          each.masterKey,
          each.endpoint ?? "AWS's own",
          each.createdAt,
        ]),
    ),
  );
}
