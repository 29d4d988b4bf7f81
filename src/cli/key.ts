import { Command, InvalidArgumentError, Option } from "commander";
import type { KeyDescription } from "../client/protocol.ts";
import { keySpecs } from "../crypto/key-specs.ts";
import { shown } from "./audit-lines.ts";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { choiceOf, type KeyChoiceOptions, withKeyChoice } from "./device/named-device.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { rotationCommand } from "./key-rotation.ts";
import { slotCommand } from "./key-slot.ts";
import { tagCommand } from "./key-tag.ts";
import { type OutputOptions, printData, table, withJson } from "./output.ts";

type Options = ConnectionOptions & OutputOptions;

interface CreateOptions extends KeyChoiceOptions {
  readonly suite?: KeyDescription["suite"];
  readonly usage?: KeyDescription["usage"];
  readonly spec?: KeyDescription["spec"];
  readonly alias?: string;
  readonly description: string;
  readonly origin?: "soft" | "aws-kms";
  readonly integration?: string;
  readonly upstreamKey?: string;
  readonly device?: string;
}

export function command(): Command {
  const key = new Command("key").description(
    "Master keys: create, rotate, disable, delete; aliases; tags; unlock slots.",
  );
  key.addHelpText(
    "after",
    `
A KEY is a key id, alias/NAME, a key ARN or an alias ARN.

Example:
  strongroom key create --data ./km --alias alias/nodes --suite sm
  strongroom key create --data ./km --alias alias/sender --usage sign --spec ECC_SECG_P256K1
  strongroom key rotate alias/nodes --data ./km`,
  );
  key.addCommand(createCommand());
  key.addCommand(listCommand());
  const simple = (
    name: "describe" | "enable" | "disable" | "rotate" | "cancelDeletion" | "destroy",
    verb: string,
    purpose: string,
  ) =>
    key.addCommand(
      onKey(verb, purpose).action((reference: string, options: Options) =>
        withClient(options, async (client) => show(options, await client.keys[name](reference))),
      ),
    );
  simple("describe", "describe", "show one master key");
  simple("rotate", "rotate", "make a new version; wraps under older versions still open");
  simple("enable", "enable", "let a disabled key work again");
  simple("disable", "disable", "refuse every use of the key from now on");
  key.addCommand(
    onKey("schedule-deletion", "disable for good after a waiting time of 7 to 30 days")
      .addOption(new Option("--days <days>", "waiting time in days").argParser(days).default(30))
      .action((reference: string, options: Options & { days: number }) =>
        withClient(options, async (client) =>
          show(options, await client.keys.scheduleDeletion(reference, options.days)),
        ),
      ),
  );
  simple("cancelDeletion", "cancel-deletion", "take a scheduled deletion back; the key is disabled then");
  simple("destroy", "destroy", "destroy a key whose waiting time has passed at once; a server does it by itself");
  key.addCommand(aliasCommand());
  key.addCommand(tagCommand());
  key.addCommand(rotationCommand());
  key.addCommand(slotCommand());
  return key;
}

function createCommand(): Command {
  return withKeyChoice(withJson(withConnection(new Command("create").description("make a master key"))))
    .addOption(
      new Option(
        "--suite <suite>",
        "intl (AES-256-GCM) or sm (SM4-GCM); by default that of --spec, without one intl",
      ).choices(["intl", "sm"]),
    )
    .addOption(
      new Option("--usage <usage>", "what the key is for; by default the only usage of --spec, or encrypt").choices([
        "encrypt",
        "sign",
        "mac",
      ]),
    )
    .addOption(
      new Option("--spec <spec>", "kind and size; by default AES_256, in suite sm SM4").choices(Object.keys(keySpecs)),
    )
    .addOption(
      new Option("--origin <origin>", "where it lives: soft (here), or aws-kms (with --integration)").choices([
        "soft",
        "aws-kms",
      ]),
    )
    .option("--integration <name>", "the integration with the KMS that it lives in")
    .option("--upstream-key <key>", "id, ARN, alias/NAME or alias ARN there (default: the integration's)")
    .option("--device <name>", "in place of --origin: a card or token of the key manager's devices.toml")
    .option("--alias <alias>", "alias/NAME to point at it")
    .option("--description <text>", "for people", "")
    .action((options: Options & CreateOptions) =>
      withClient(options, async (client) => {
        const { suite, usage, spec, description, alias, origin } = options;
        const chosen = Object.fromEntries(
          Object.entries({
            suite,
            usage,
            spec,
            alias,
            origin,
            upstream: upstreamOf(options),
            device: deviceOf(options),
          }).filter(([, value]) => value !== undefined),
        );
        show(options, await client.keys.create({ description, ...chosen }));
      }),
    );
}

/** @throws {CommandFailure} 2 unless origin and integration go together. */
function upstreamOf({ origin, integration, upstreamKey }: CreateOptions) {
  if ((origin === "aws-kms") !== (integration !== undefined))
    throw new CommandFailure(exitCodes.usage, "--origin aws-kms and --integration NAME go together");
  if (integration === undefined) {
    if (upstreamKey === undefined) return undefined;
    throw new CommandFailure(exitCodes.usage, "--upstream-key goes with --origin aws-kms");
  }
  return { integration, ...(upstreamKey === undefined ? {} : { key: upstreamKey }) };
}

/** @throws {CommandFailure} 2 for a key of a device without the device, or with an origin. */
function deviceOf(options: CreateOptions) {
  const choice = choiceOf(options);
  const { device: name, origin } = options;
  if (name === undefined) {
    if (choice === undefined) return undefined;
    throw new CommandFailure(exitCodes.usage, "--key-index, --kek-index and --key-id go with --device NAME");
  }
  if (origin !== undefined) throw new CommandFailure(exitCodes.usage, "--device takes the place of --origin");
  return { name, ...choice };
}

function listCommand(): Command {
  return withJson(withConnection(new Command("list").description("list the master keys"))).action((options: Options) =>
    withClient(options, async (client) =>
      printData(options, await client.keys.list(), (keys) =>
        table(
          ["KEY ID", "SUITE", "SPEC", "USAGE", "STATE", "VERSION", "ALIASES"],
          keys.map((each) => [
            each.keyId,
            each.suite,
            each.spec,
            each.usage,
            each.state,
            String(each.currentVersion),
            each.aliases.join(" "),
          ]),
        ),
      ),
    ),
  );
}

function aliasCommand(): Command {
  const alias = new Command("alias").description("names that point at a key");
  const pointing = (name: "create" | "update", purpose: string) =>
    withConnection(
      new Command(name).description(purpose).argument("<alias>", "alias/NAME").argument("<key>", "the key"),
    ).action((aliasName: string, key: string, options: Options) =>
      withClient(options, (client) => client.aliases[name](aliasName, key)),
    );
  alias.addCommand(pointing("create", "make an alias"));
  alias.addCommand(pointing("update", "point an alias at another key"));
  alias.addCommand(
    withConnection(new Command("delete").description("remove an alias").argument("<alias>", "alias/NAME")).action(
      (aliasName: string, options: Options) => withClient(options, (client) => client.aliases.delete(aliasName)),
    ),
  );
  alias.addCommand(
    withJson(withConnection(new Command("list").description("list the aliases"))).action((options: Options) =>
      withClient(options, async (client) =>
        printData(options, await client.aliases.list(), (aliases) =>
          table(
            ["ALIAS", "KEY ID"],
            aliases.map((each) => [each.alias, each.keyId]),
          ),
        ),
      ),
    ),
  );
  return alias;
}

function onKey(name: string, purpose: string): Command {
  return withJson(withConnection(new Command(name).description(purpose).argument("<key>", "id, alias or ARN")));
}

function show(options: OutputOptions, key: KeyDescription): void {
  printData(options, key, () =>
    [
      `key id       ${key.keyId}`,
      `arn          ${key.arn}`,
      `suite        ${key.suite} (${key.spec}, ${key.usage}, ${key.origin}${key.device === null ? "" : ` ${key.device}`})`,
      `state        ${key.state}${key.deletionAt === null ? "" : `, destroyed from ${key.deletionAt} on`}`,
      `version      ${key.currentVersion}`,
      `aliases      ${key.aliases.join(" ") || "none"}`,
      `description  ${shown(key.description) || "none"}`,
    ].join("\n"),
  );
}

function days(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("a whole number of days, 7 to 30");
  return Number(text);
}
