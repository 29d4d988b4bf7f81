import { Command, Option } from "commander";
import { clientCommands } from "./chain/client-commands.ts";
import { withJson } from "./output.ts";

/** Options of FISCO BCOS's build_chain.sh that are not offered: why, or what to do instead. */
const notOffered: Readonly<Record<string, string>> = {
  "-A": "the reference chain has no permission contracts; edit config.genesis for FISCO BCOS's program",
  "-a <account>": "the reference chain has no permission contracts; edit config.genesis for FISCO BCOS's program",
  "-c <config>": "nodes are not added to a chain that exists",
  "-D": "nodes are not put into containers",
  "-d <ca>": "nodes are not added to a chain that exists",
  "-G <genesis>": "config.genesis is always written anew",
  "-i <address>": "no monitor is set up",
  "-k <size>": "set key_page_size in config.ini",
  "-L <program>": "there is no light node",
  "-M <config>": "no monitor is set up",
  "-m": "no monitor is set up",
  "-N <name>": "a chain has one certificate authority",
  "-R": "set is_serial_execute in config.genesis",
  "-t <program>": "no monitor is set up",
  "-u": "a chain has one certificate authority",
  "-w": "set is_wasm in config.genesis",
};

/** `strongroom chain`: a consortium chain whose node keys are in a cipher machine, in a KMS, in sealed files, or in plain ones. */
export function command(): Command {
  const chain = new Command("chain").description(
    "Build a consortium chain, its node keys in files, in a cipher machine or in a KMS, and be its client.",
  );
  chain.addHelpText(
    "after",
    `
What is made, and how it is started: docs/chain.md; step by step with a cipher machine: docs/hsm.md.

Example:
  strongroom chain build -l 127.0.0.1:4 -p 30300,20200 -s -H -n nodeKeyDir/ --key-index 43,44,45,46
  bash nodes/127.0.0.1/start_all.sh
  strongroom chain set asset 1000 --config config.toml --genesis nodes/127.0.0.1/node0/config.genesis`,
  );
  chain.addCommand(buildCommand());
  for (const command of clientCommands()) chain.addCommand(command);
  return chain;
}

function buildCommand(): Command {
  const build = withJson(new Command("build"))
    .description("make the folders of a new chain, with the options of FISCO BCOS's build_chain.sh")
    .requiredOption("-l <hosts>", "IP:NODES of each host, joined with commas")
    .option("-p <ports>", "P2P and RPC port of each host's first node", "30300,20200")
    .option("-o <dir>", "output folder, which must not exist", "./nodes")
    .option("-e <program>", "FISCO BCOS's own program; without it the nodes run the reference node")
    .option("-s", "SM2 and SM3 in place of secp256k1 and Keccak-256")
    .option("-H", "the nodes' keys are in a cipher machine (needs -s and -n)")
    .option("-n <dir>", "folder with one .pem for each node: its key; with -H its public key is enough")
    .option("-g <group>", "group id", "group0")
    .option("-I <chain>", "chain id", "chain0")
    .option("-v <version>", "compatibility_version of config.genesis", "3.6.0")
    .addOption(new Option("-C <command>", "only a new chain is built").choices(["deploy"]).default("deploy"))
    .option("--key-index <numbers>", "index of each node's key in the cipher machine, in order: 43,44,45,46")
    .option(
      "--hsm-lib-path <library>",
      "the cipher machine's library (default: libgmt0018.so in /usr/local/lib, then the loader's path)",
    )
    .option("--hsm-profile <name>", "layout of the library's structures, where it is not the standard one")
    .option("--pin-file <file>", "file with the cipher machine's PIN (mode 0600); each node gets a private copy")
    .option("--password-in-config", "write the PIN into config.ini in clear, as FISCO BCOS's program reads it")
    .option("--kms-keys <keys>", "the nodes' keys sign inside a KMS: id, alias/NAME or ARN of each, in order: A,B,C,D")
    .option("--kms-url <url>", "the KMS, https://HOST[:PORT] (default: AWS's own endpoint of the region)")
    .option("--kms-region <region>", "the KMS's region, such as eu-west-1")
    .option("--kms-access-key-id <id>", "the access key that may use the keys; or one for each node, in order: A,B,C,D")
    .option(
      "--kms-secret-file <file>",
      "file with its secret (mode 0600), or one for each; each node gets a private copy",
    )
    .option("--kms-ca-file <file>", "PEM of the certificate that the KMS's own chains to")
    .option("--server <url...>", "the key manager's servers: every node is enrolled there, its keys and PIN sealed")
    .option("--key <key>", "with --server: id, alias/NAME or ARN of the master key")
    .option("--token-dir <dir>", "with --server: folder of enrolment tokens, CHAIN-node0, CHAIN-node1, …")
    .addHelpText(
      "after",
      `
Example:
  strongroom chain build -e ./fisco-bcos -l 127.0.0.1:4 -p 30300,20200 -s -H -n nodeKeyDir/ --key-index 43,44,45,46`,
    );
  for (const flags of Object.keys(notOffered)) build.addOption(new Option(flags).hideHelp());
  return build.action(async (options) => (await import("./chain/build.ts")).runBuild(options, notOffered));
}
