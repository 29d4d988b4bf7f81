import { Command, InvalidArgumentError, Option } from "commander";
import { handovers, identityKinds, manifestVolumeKinds, nodeKinds, protections } from "../node/manifest.ts";
import { withConnection } from "./connection.ts";
import { counterCommand } from "./node/counter-command.ts";
import { enclaveCommand } from "./node/enclave-command.ts";
import { keyCommand } from "./node/key-command.ts";
import { withJson } from "./output.ts";

/** What every command on a node takes: the folder of its manifest. */
const where = "folder with node.toml, or the manifest itself";

/** `strongroom node`: each command's work is loaded when it is asked for, so that a launch loads nothing else. */
export function command(): Command {
  const node = new Command("node").description("Protect and start a node: its keys sealed, its data in a volume.");
  node.addHelpText(
    "after",
    `
Example:
  strongroom node token node-1 --data ./km --unlock-file ./unlock >token   # at the key manager
  strongroom node create node-1 --kind geth --network net-1 --server https://km:8443 --key alias/nodes \\
    --dir ./node-1 --token-file token                                      # a new node, with its keys
  strongroom node init node-1 --kind geth --network net-1 --server https://km:8443 --key alias/nodes --dir ./node-1
  strongroom node enroll ./node-1 --token-file token                       # a node that exists
  strongroom node seal ./node-1 ./data/geth/nodekey
  strongroom node launch ./node-1`,
  );
  for (const make of [
    createCommand,
    destroyCommand,
    initCommand,
    enrollCommand,
    sealCommand,
    unsealCommand,
    statusCommand,
    launchCommand,
    sidecarCommand,
    convertCommand,
    keyCommand,
    tokenCommand,
    revokeCommand,
    listCommand,
    counterCommand,
    enclaveCommand,
  ])
    node.addCommand(make());
  return node;
}

function createCommand(): Command {
  return withJson(withNewNode(new Command("create")))
    .description("make a node with its keys: generated here, sealed before anything touches a disk")
    .option("--token-file <file>", "file with the enrolment token (mode 0600 or 0400)")
    .option("--token-fd <number>", "file descriptor to read the token from", wholeNumber)
    .addOption(
      new Option("--protection <how>", "none: no key manager, keys are plain files")
        .choices(protections)
        .default("key-manager"),
    )
    .option("--light-kdf", "lock the account as geth --lightkdf does: 4 MiB for each unlock in place of 256")
    .addHelpText(
      "after",
      `
Killed at any point, the same command goes on. What each kind of node is given: docs/nodes.md.

Example:
  strongroom node create node-1 --kind goquorum --network net-1 --server https://km:8443 --key alias/nodes \\
    --dir ./node-1 --token-file token --volume gocryptfs`,
    )
    .action(async (name, argv, options) => (await import("./node/create.ts")).runCreate(name, argv, options));
}

function destroyCommand(): Command {
  return withJson(new Command("destroy"))
    .description("destroy a node with its keys, data key, identity and volume; the key manager puts it on record")
    .argument("<node>", where)
    .option("--yes", "really")
    .option("--without-record", "go on although the key manager cannot be told; revoke the node there by hand")
    .addHelpText(
      "after",
      "\nRefused while the node runs. Killed at any point, the same command goes on.\n\nExample:\n  strongroom node destroy ./node-1 --yes",
    )
    .action(async (node, options) => (await import("./node/destroy.ts")).runDestroy(node, options));
}

function initCommand(): Command {
  return withNewNode(new Command("init"))
    .description("write a node manifest with every field explained")
    .addHelpText(
      "after",
      `
Example:
  strongroom node init node-1 --kind geth --network net-1 --server https://km:8443 --key alias/nodes \\
    --dir ./node-1 --volume gocryptfs -- geth --nodekey {key:nodekey} --datadir {data}`,
    )
    .action(async (name, argv, options) => (await import("./node/init.ts")).runInit(name, argv, options));
}

/** What is said of a node that is new. */
function withNewNode(command: Command): Command {
  return command
    .argument("<name>", "the node's name at the key manager")
    .addOption(new Option("--kind <kind>", "what program the node is").choices(nodeKinds).makeOptionMandatory())
    .requiredOption("--network <name>", "the chain that the node belongs to")
    .option("--server <url...>", "the key manager's servers, in order of preference")
    .option("--key <key>", "id, alias/NAME or ARN of the master key over this node's data key")
    .option("--integration <name>", "in place of --server: the integration with a KMS (strongroom integration create)")
    .option("--store <dir>", "folder of the integrations on this host")
    .option("--unlock-file <file>", "file that opens the store (default: systemd credential strongroom-unlock)")
    .option("--dir <dir>", "the node's folder; made if missing", ".")
    .addOption(new Option("--identity <kind>", "where the client key is kept").choices(identityKinds).default("file"))
    .option("--identity-folder <dir>", "folder of the client key (default: identity, or one on a tmpfs)")
    .addOption(new Option("--volume <kind>", "how the data folder is encrypted").choices(manifestVolumeKinds))
    .option("--address <host:port>", "under which peers reach the node")
    .option("--sidecar-port <port>", "loopback port of a FISCO node's sidecar", wholeNumber)
    .argument("[command...]", "after --: the node's program and arguments");
}

function enrollCommand(): Command {
  return withJson(new Command("enroll"))
    .description("redeem a one-time token for this node's client certificate")
    .argument("[node]", where, ".")
    .option("--token-file <file>", "file with the token (mode 0600 or 0400)")
    .option("--token-fd <number>", "file descriptor to read the token from", wholeNumber)
    .addOption(
      new Option("--identity <kind>", "where the client key is kept; changes the manifest").choices(identityKinds),
    )
    .option("--into <dir>", "without a manifest: identity folder of an administrator, auditor or service")
    .option("--server <url...>", "with --into: the key manager's servers")
    .addHelpText(
      "after",
      "\nWithout --token-file and --token-fd the token is asked for on the terminal.\n\nExample:\n  strongroom node enroll ./node-1 --token-file token",
    )
    .action(async (node, options) => (await import("./node/enroll.ts")).runEnroll(node, options));
}

function sealCommand(): Command {
  return withJson(new Command("seal"))
    .description("seal key files; the plain originals are wiped once the sealed copies are proven")
    .argument("<node>", where)
    .argument(
      "<file...>",
      "key files: FISCO node.pem, ssl.key; geth nodekey, UTC--… accounts; Tessera .key; Besu key; .p12; …",
    )
    .option("--replace <name>", "put this key in the place of the sealed one of that name, as its next version")
    .option("--name <name>", "name in {key:NAME} (default: the file's base name)")
    .option("--format <format>", "key format (default: detected; strongroom node key formats lists them)")
    .addOption(new Option("--handover <how>", "how the program gets the key").choices(handovers))
    .option("--reads <count>", "how often the program reads a fifo", wholeNumber)
    .option("--link", "put a symbolic link at the file's path while the node runs (fifo, tmpfs-file)")
    .addHelpText("after", "\nExample:\n  strongroom node seal ./node-1 ./node-1/conf/node.pem ./node-1/conf/ssl.key")
    .action(async (node, files, options) => (await import("./node/seal.ts")).runSeal(node, files, options));
}

function unsealCommand(): Command {
  return new Command("unseal")
    .description("open a sealed file: into another file, or back to where it was")
    .argument("<node>", where)
    .argument("<file>", "name or path of a sealed file")
    .addOption(new Option("--out <file>", "write the plain key there, mode 0600").conflicts("restore"))
    .option("--restore", "put the plain key back and take the file out of the manifest")
    .addHelpText("after", "\nExample:\n  strongroom node unseal ./node-1 nodekey --out /dev/shm/nodekey")
    .action(async (node, file, options) => (await import("./node/seal.ts")).runUnseal(node, file, options));
}

function statusCommand(): Command {
  return withJson(new Command("status"))
    .description("what is sealed, what the identity means against a stolen disk, what is in force")
    .argument("[node]", where, ".")
    .option("--ask", "also ask the key manager whether it would release the data key (leaves an audit record)")
    .addHelpText("after", "\nExample:\n  strongroom node status ./node-1 --json")
    .action(async (node, options) => (await import("./node/status.ts")).runStatus(node, options));
}

function launchCommand(): Command {
  return new Command("launch")
    .description("start the node if the key manager agrees, and stay with it")
    .argument("[node]", where, ".")
    .option("--lease <time>", "ask again this often and stop the node when refused, for example 10s", leaseSeconds)
    .option("--allow-unsafe", "start although swap is unencrypted or core dumps are possible")
    .addHelpText(
      "after",
      `
Exit code: the program's own, 128 and the signal's number; before it is started 3 refused, 4 unreachable, 5 integrity.

Example:
  strongroom node launch ./node-1 --lease 10s`,
    )
    .action(async (node, options) => (await import("./node/launch.ts")).runLaunch(node, options));
}

function sidecarCommand(): Command {
  return new Command("sidecar")
    .description("answer one FISCO node's decDataKey on loopback while it starts, then stop")
    .argument("[node]", where, ".")
    .addHelpText("after", "\nExample:\n  strongroom node sidecar ./node-1 & ./node-1/start.sh")
    .action(async (node) => (await import("./node/launch.ts")).runSidecar(node));
}

function convertCommand(): Command {
  return withJson(new Command("convert"))
    .description("move a stopped node's data folder into its volume, or back")
    .argument("<node>", where)
    .argument("<folder>", "the plain data folder: where it is, or with --to-plain where it goes")
    .option("--seal <file...>", "key files to seal as well")
    .option("--encrypt-key-names", "level volumes: key names too (deterministic, order not kept)")
    .option("--to-plain", "the way back: data out of the volume, sealed files restored")
    .addHelpText(
      "after",
      `
Killed at any point, the same command goes on. The original is removed only after every file's checksum was compared.

Example:
  strongroom node convert ./node-1 /var/lib/geth --seal /var/lib/geth/nodekey`,
    )
    .action(async (node, folder, options) => (await import("./node/convert.ts")).runConvert(node, folder, options));
}

function tokenCommand(): Command {
  return withConnection(new Command("token"))
    .description("at the key manager: make a one-time token for a node's enrolment (15 minutes, one use)")
    .argument("<name>", "the node's name")
    .option("--key <key>", "master key that the node may use under its own name")
    .addOption(
      new Option("--identity-kind <kind>", "how the node keeps its client key").choices(identityKinds).default("file"),
    )
    .option("--out <file>", "write the token there, mode 0600 (default: standard output)")
    .addHelpText("after", "\nExample:\n  strongroom node token node-1 --key alias/nodes --data ./km --out token")
    .action(async (name, options) => (await import("./node/operator.ts")).runToken(name, options));
}

function revokeCommand(): Command {
  return withJson(withConnection(new Command("revoke")))
    .description("at the key manager: revoke a node; no request of it that starts later succeeds")
    .argument("<name>", "the node's name")
    .addHelpText("after", "\nExample:\n  strongroom node revoke node-1 --data ./km")
    .action(async (name, options) => (await import("./node/operator.ts")).runRevoke(name, options));
}

function listCommand(): Command {
  return withJson(withConnection(new Command("list")))
    .description("at the key manager: the nodes, and what holds each to its word: the lease it runs under, or none")
    .addHelpText(
      "after",
      `
A lease is held while its launcher checks it: at least every two intervals. It lapsed when no check came, was refused by the
last check, or was released by a launcher that stopped its node. With none, a running node keeps its keys until it stops.

Example:
  strongroom node list --data ./km --json`,
    )
    .action(async (options) => (await import("./node/operator.ts")).runList(options));
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("a whole number");
  return Number(text);
}

/** `10s`, `5m`, `1h` or seconds. */
function leaseSeconds(text: string): number {
  const [, count, unit = "s"] = /^(\d{1,6})([smh]?)$/.exec(text) ?? [];
  const seconds = Number(count) * (unit === "h" ? 3600 : unit === "m" ? 60 : 1);
  if (count === undefined || seconds < 1 || seconds > 86_400)
    throw new InvalidArgumentError("a time from 1s to 24h, such as 10s, 5m or 1h");
  return seconds;
}
