import { Command, InvalidArgumentError, Option } from "commander";
import { withJson } from "../output.ts";

/** `strongroom node key`: key files apart from any node. */
export function keyCommand(): Command {
  const key = new Command("key").description("look at a node's key file, or change the password that locks it");
  for (const make of [inspectCommand, formatsCommand, keystorePasswordCommand, tesseraRelockCommand])
    key.addCommand(make());
  return key;
}

function inspectCommand(): Command {
  return withPassword(withJson(new Command("inspect")))
    .description("the public identity of a key file; with its password, proven")
    .argument("<file>", "the key file")
    .option("--format <format>", "key format (default: detected)")
    .addHelpText("after", "\nExample:\n  strongroom node key inspect ./keystore/UTC--… --password-file pw --json")
    .action(async (file, options) => (await import("./key.ts")).runInspect(file, options));
}

function formatsCommand(): Command {
  return withJson(new Command("formats"))
    .description("every format that is read, and which are detected")
    .addHelpText("after", "\nExample:\n  strongroom node key formats")
    .action(async (options) => (await import("./key.ts")).runFormats(options));
}

function keystorePasswordCommand(): Command {
  return withNewPassword(new Command("keystore-passwd"))
    .description("put a keystore file under another password, as version 3")
    .argument("<file>", "the keystore file")
    .option("--light", "geth's light cost (4 MiB) instead of its standard one (256 MiB)")
    .addHelpText(
      "after",
      "\nExample:\n  strongroom node key keystore-passwd ./UTC--… --password-file pw --new-password-file new",
    )
    .action(async (file, options) => (await import("./key.ts")).runKeystorePassword(file, options));
}

function tesseraRelockCommand(): Command {
  return withNewPassword(new Command("tessera-relock"))
    .description("lock a Constellation or Tessera key, unlocked or locked before, by a password")
    .argument("<file>", "the .key file")
    .addOption(new Option("--variant <variant>", "of Argon2").choices(["d", "i", "id"]).default("id"))
    .option("--memory <KiB>", "memory for each unlock", wholeNumber, 1_048_576)
    .option("--passes <count>", "passes over the memory", wholeNumber, 10)
    .option("--lanes <count>", "degree of parallelism", wholeNumber, 4)
    .addHelpText(
      "after",
      "\nExample:\n  strongroom node key tessera-relock ./tm.key --new-password-file new --memory 65536 --passes 3",
    )
    .action(async (file, options) => (await import("./key.ts")).runTesseraRelock(file, options));
}

function withNewPassword(command: Command): Command {
  return withPassword(command).option(
    "--new-password-file <file>",
    "file with the new password, on its first line (default: asked for on the terminal)",
  );
}

function withPassword(command: Command): Command {
  return command
    .option("--password-file <file>", "file with the password (mode 0600 or 0400)")
    .option("--password-line <number>", "which line of it", wholeNumber, 1);
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("a whole number from 1");
  return Number(text);
}
