import { Command, CommanderError } from "commander";
import { hardenThisProcess } from "../volume/process-hardening.ts";
import { exitCodes } from "./failure.ts";

/** Each command group: its one-line purpose, and the module that is loaded only when the group is asked for. */
const groups: Readonly<Record<string, { purpose: string; load: () => Promise<{ command: () => Command }> }>> = {
  init: { purpose: "make a key manager in a data folder", load: () => import("./init.ts") },
  serve: { purpose: "run the key manager", load: () => import("./serve.ts") },
  key: { purpose: "master keys: create, rotate, disable, delete; unlock slots", load: () => import("./key.ts") },
  policy: { purpose: "key policies: show, set, check", load: () => import("./policy.ts") },
  grant: { purpose: "grants on a key: create, list, revoke", load: () => import("./grant.ts") },
  principal: { purpose: "administrators, auditors, operators, services", load: () => import("./principal.ts") },
  user: { purpose: "users and their access keys, for clients of a cloud KMS", load: () => import("./user.ts") },
  group: { purpose: "groups of users and their policies", load: () => import("./group.ts") },
  device: {
    purpose: "cipher cards and tokens: list, info, test, bench, keys, trust, envelopes",
    load: () => import("./device.ts"),
  },
  integration: {
    purpose: "integrations with a KMS: AWS KMS or what speaks the same",
    load: () => import("./integration.ts"),
  },
  audit: {
    purpose: "the audit chain: tail, search, report, export, verify, checkpoint",
    load: () => import("./audit.ts"),
  },
  node: { purpose: "protect and start a node", load: () => import("./node.ts") },
  chain: {
    purpose: "build a consortium chain, its keys in files, a cipher machine or a KMS; its client",
    load: () => import("./chain.ts"),
  },
  volume: {
    purpose: "encrypted data folders: create, open, close, check, export, import, keys, zones",
    load: () => import("./volume.ts"),
  },
  db: {
    purpose: "an encrypted InfluxDB: serve, status, backup, restore, rotate-master",
    load: () => import("./db.ts"),
  },
  fpc: {
    purpose: "private chaincode's keys between enclaves: network, enclave, keys, status, invoke",
    load: () => import("./fpc.ts"),
  },
  legacy: { purpose: "FISCO key-manager formats: register, read, convert", load: () => import("./legacy.ts") },
  console: { purpose: "the web console: one-time codes to sign in", load: () => import("./console.ts") },
  doctor: { purpose: "check this machine and a data folder", load: () => import("./doctor.ts") },
};

/**
 * Runs one command line.
 *
 * @throws What the command threw; wrong usage has been reported and is told by `process.exitCode`.
 */
export async function runProgram(args: readonly string[]): Promise<void> {
  try {
    await parse(args);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  }
}

async function parse(args: readonly string[]): Promise<void> {
  const words = args.filter((arg) => !arg.startsWith("-"));
  const wanted = words[0] === "help" ? words[1] : words[0];
  const program = new Command("strongroom")
    .description("Key custody and encryption at rest for consortium-blockchain nodes and their databases.")
    .version("0.1.0")
    .exitOverride()
    .showHelpAfterError("(run with --help for options and an example)")
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, "strongroom: error:")) })
    .addHelpText("after", exitCodeHelp);
  for (const [name, group] of Object.entries(groups)) {
    if (name === wanted && !asksForHelp(args)) await hardenThisProcess();
    if (name === wanted) program.addCommand(inherit((await group.load()).command(), program));
    else program.command(name).description(group.purpose);
  }
  await program.parseAsync(args, { from: "user" });
}

/** Help reads no secret, so it need not wait for the system calls. */
function asksForHelp(args: readonly string[]): boolean {
  return args.includes("--help") || args.includes("-h") || args[0] === "help";
}

const exitCodeHelp = `
Exit codes:
  0 done   1 other failure   2 usage   3 refused   4 key manager unreachable   5 integrity failure

Example:
  strongroom init --data ./km --unlock-file ./unlock
  strongroom serve --data ./km --unlock-file ./unlock --native 127.0.0.1:8443`;

/** Makes a lazily loaded group, and all under it, exit and report as the program does. */
function inherit(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent);
  for (const sub of command.commands) inherit(sub as Command, command);
  return command;
}
