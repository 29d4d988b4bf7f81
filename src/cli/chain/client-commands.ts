import { Command } from "commander";
import { withJson } from "../output.ts";

const exitCodeHelp = `
Exit codes:
  0 done   1 no such entry, or other failure   2 usage or configuration   3 the node refused
  4 no node answers   5 a proof does not hold: what the node says is not what the chain's sealers have signed`;

/** The commands of a chain's client: `info`, `set`, `get`, `receipt`. */
export function clientCommands(): Command[] {
  return [infoCommand(), setCommand(), getCommand(), receiptCommand()];
}

function infoCommand(): Command {
  return withClient("info", "the chain, its sealers, and how far each node of config.toml is").action(async (options) =>
    (await import("./client.ts")).runInfo(options),
  );
}

function setCommand(): Command {
  return withClient("set", "set an entry of the key-value contract by a transaction, and check its receipt's proof")
    .argument("<key>", "the entry's key, as text")
    .argument("<value>", "its new value, as text; all of the chain can read it")
    .option("--hex", "key and value are hexadecimal")
    .addHelpText("after", example("set asset 1000"))
    .action(async (key, value, options) => (await import("./client.ts")).runSet(key, value, options));
}

function getCommand(): Command {
  return withClient("get", "the value of an entry of the key-value contract, proved by a transaction's receipt")
    .argument("<key>", "the entry's key, as text")
    .option("--hex", "the key is hexadecimal, and so is what is printed")
    .option("--unproved", "ask one node and believe it: no transaction, no account, no proof")
    .addHelpText("after", example("get asset"))
    .action(async (key, options) => (await import("./client.ts")).runGet(key, options));
}

function receiptCommand(): Command {
  return withClient("receipt", "the receipt of a transaction, its proof checked")
    .argument("<hash>", "the transaction's hash: 0x and 64 hexadecimal digits")
    .action(async (hash, options) => (await import("./client.ts")).runReceipt(hash, options));
}

function withClient(name: string, description: string): Command {
  return withJson(new Command(name))
    .description(description)
    .option(
      "--config <file>",
      "the client's configuration, as the java-sdk writes it (default: strongroom.config.toml if it is there, else config.toml)",
    )
    .option("--genesis <file>", "config.genesis of the chain (default: config.genesis beside --config)")
    .addHelpText("after", exitCodeHelp);
}

function example(words: string): string {
  return `\nExample:\n  strongroom chain ${words} --config sdk/config.toml --genesis nodes/127.0.0.1/node0/config.genesis`;
}
