import { Command, Option } from "commander";
import { withJson } from "./output.ts";
import { keyCommands } from "./volume/key-commands.ts";

const node = "folder with node.toml, or the manifest itself";

/** `strongroom volume`: the volume that a node's manifest names, under the node's data key. */
export function command(): Command {
  const volume = new Command("volume").description("The encrypted data folder of a node (see docs/volumes.md).");
  volume.addHelpText(
    "after",
    `
Example:
  strongroom volume create ./node-1
  strongroom volume open ./node-1        # prints the data folder
  strongroom volume close ./node-1`,
  );
  volume.addCommand(
    withJson(new Command("create"))
      .description("make the volume that the manifest names, empty and locked; asks the key manager")
      .argument("[node]", node, ".")
      .option("--anchor", "sealfs: the key manager keeps how far the volume has come; an older copy is then refused")
      .addHelpText("after", "\nExample:\n  strongroom volume create ./node-1")
      .action(async (where, options) => (await import("./node/volume.ts")).runCreate(where, options)),
  );
  volume.addCommand(
    withJson(new Command("open"))
      .description("open the volume and leave it open until 'volume close'; asks the key manager")
      .argument("[node]", node, ".")
      .addHelpText(
        "after",
        "\nKinds: gocryptfs, sealfs, fscrypt. A launch opens and closes by itself.\n\nExample:\n  cd $(strongroom volume open ./node-1)",
      )
      .action(async (where, options) => (await import("./node/volume.ts")).runOpen(where, options)),
  );
  volume.addCommand(
    new Command("close")
      .description("lock a volume that was left open")
      .argument("[node]", node, ".")
      .addOption(new Option("--cut-off", "take it away from programs that still use it"))
      .addHelpText("after", "\nExample:\n  strongroom volume close ./node-1")
      .action(async (where, options) => (await import("./node/volume.ts")).runClose(where, options)),
  );
  volume.addCommand(
    withJson(new Command("status"))
      .description("what state the volume is in; needs no key")
      .argument("[node]", node, ".")
      .addHelpText("after", "\nExample:\n  strongroom volume status ./node-1 --json")
      .action(async (where, options) => (await import("./node/volume.ts")).runStatus(where, options)),
  );
  volume.addCommand(
    withJson(new Command("check"))
      .description("verify a locked volume's header and store as deep as its kind can; asks the key manager")
      .argument("[node]", node, ".")
      .addHelpText("after", "\nExample:\n  strongroom volume check ./node-1")
      .action(async (where, options) => (await import("./node/volume.ts")).runCheck(where, options)),
  );
  for (const each of keyCommands()) volume.addCommand(each);
  volume.addCommand(exportCommand());
  volume.addCommand(importCommand());
  return volume;
}

function exportCommand(): Command {
  return withJson(new Command("export"))
    .description("write a locked volume, as ciphertext, to one file; asks the key manager")
    .argument("<node>", node)
    .argument("<file>", "a file that is not there yet, or - for standard output")
    .addHelpText(
      "after",
      "\nKinds: sealfs, gocryptfs.\n\nExample:\n  strongroom volume export ./node-1 /backup/node-1.srvx",
    )
    .action(async (where, file, options) =>
      (await import("./node/volume-transfer.ts")).runExport(where, file, options),
    );
}

function importCommand(): Command {
  return withJson(new Command("import"))
    .description("make the volume of an export, locked; asks the key manager")
    .argument("<node>", `${node}, with the data key of the exported volume`)
    .argument("<file>", "the export, or - for standard input")
    .option("--own", "make all files this user's, in place of those of the export")
    .addHelpText("after", "\nExample:\n  strongroom volume import ./node-1 /backup/node-1.srvx")
    .action(async (where, file, options) =>
      (await import("./node/volume-transfer.ts")).runImport(where, file, options),
    );
}
