import { Command, Option } from "commander";
import { CommandFailure, exitCodes } from "./failure.ts";
import { printData, tell, withJson } from "./output.ts";
import { readUnlockSecret, type UnlockOptions, withUnlock } from "./unlock-secret.ts";

interface InitCommandOptions extends UnlockOptions {
  readonly data: string;
  readonly slot: "passphrase" | "key-file";
  readonly suite: "intl" | "sm";
  readonly region: string;
  readonly json?: boolean;
}

/** Shorter passphrases get a warning: scrypt slows a guesser down, it does not make a short secret long. */
const advisedPassphraseBytes = 16;

export function command(): Command {
  const init = new Command("init")
    .description("Make a key manager: its root key, its store and its audit chain, in a new folder.")
    .requiredOption("--data <dir>", "data folder to make (new or empty)")
    .addOption(
      new Option("--slot <kind>", "how the unlock secret opens the root key")
        .choices(["passphrase", "key-file"])
        .default("passphrase"),
    )
    .addOption(
      new Option("--suite <suite>", "cipher suite of the key manager's own state")
        .choices(["intl", "sm"])
        .default("intl"),
    )
    .option("--region <name>", "region in key ARNs", "local")
    .addHelpText(
      "after",
      `
Example:
  (umask 077; head -c 24 /dev/urandom | base64 > unlock)
  strongroom init --data ./km --unlock-file ./unlock`,
    );
  return withJson(withUnlock(init)).action(async (options: InitCommandOptions) => {
    if (!/^[a-z][a-z0-9-]{0,31}$/.test(options.region))
      throw new CommandFailure(
        exitCodes.usage,
        `--region takes 1 to 32 of a-z, 0-9 and -, got ${JSON.stringify(options.region)}`,
      );
    const { initCustody } = await import("../custody/open.ts");
    using unlock = await readUnlockSecret(options);
    if (options.slot === "passphrase" && unlock.byteLength < advisedPassphraseBytes)
      tell(`warning: the passphrase has ${unlock.byteLength} bytes; ${advisedPassphraseBytes} or more are advised`);
    const identity = await initCustody({
      dataDir: options.data,
      unlock,
      slotKind: options.slot,
      suite: options.suite,
      region: options.region,
    });
    printData(options, { data: options.data, ...identity }, () =>
      [
        `A key manager was made in ${options.data}.`,
        `  account             ${identity.account}`,
        `  administrator       ${identity.localAdministrator}`,
        "Keep the unlock secret apart from this folder: without it nothing here can be opened, by anyone.",
      ].join("\n"),
    );
  });
}
