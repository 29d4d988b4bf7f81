import { readFileSync, writeFileSync } from "node:fs";
import { Command, Option } from "commander";
import type { KeyManagerClient } from "../client/client.ts";
import type { LegacyEntry } from "../client/protocol.ts";
import {
  type LegacyMode,
  legacyDecryptDataKey,
  legacyDecryptKeyFile,
  legacyEncryptDataKey,
  legacyEncryptKeyFile,
} from "../crypto/legacy-fisco.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { cipherDataKeyArgument, passphraseArgument } from "./fisco-arguments.ts";
import { readDbCommand } from "./legacy-read-db.ts";
import { readPlainKeyFile } from "./node-key-file.ts";
import { type OutputOptions, printData, table, tell, withJson } from "./output.ts";

interface Options extends ConnectionOptions, OutputOptions {
  readonly mode: LegacyMode;
  readonly superKeyFile: string;
  readonly node?: string;
}

const maxKeyFileBytes = 4 << 20;

export function command(): Command {
  const legacy = new Command("legacy").description("FISCO BCOS key-manager formats: register, encrypt, read.");
  legacy.addHelpText(
    "after",
    `
The FISCO door opens only a cipherDataKey that is registered here; the super key is never stored. docs/fisco.md.

Example:
  strongroom legacy register ed157f4588b86d61a2e1745efe71e6ea --node node0 --super-key-file ./super.key --data ./km
  strongroom legacy list --data ./km`,
  );
  legacy.addCommand(registerCommand());
  legacy.addCommand(
    withJson(withConnection(new Command("list").description("cipherDataKeys that the FISCO door opens"))).action(
      (options: ConnectionOptions & OutputOptions) =>
        withClient(options, async (client) => show(options, await client.legacy.list())),
    ),
  );
  legacy.addCommand(encryptDataKeyCommand());
  legacy.addCommand(encryptKeyFileCommand());
  legacy.addCommand(decryptKeyFileCommand());
  legacy.addCommand(readDbCommand());
  return legacy;
}

function registerCommand(): Command {
  return withSuperKey(new Command("register"))
    .description("let the FISCO door open a cipherDataKey that was made elsewhere")
    .argument("<hex>", "the cipherDataKey, from the node's config.ini")
    .option("--node <name>", "whose it is, for the records")
    .action(async (hex: string, options: Options) => {
      const cipherDataKey = cipherDataKeyArgument(hex);
      using superKey = passphraseArgument("super key", undefined, options.superKeyFile);
      await withClient(options, async (client) =>
        show(options, [await register(client, options, superKey, cipherDataKey)]),
      );
    });
}

function encryptDataKeyCommand(): Command {
  return withSuperKey(new Command("encrypt-data-key"))
    .description("encrypt a node's data key, and register the result")
    .requiredOption("--data-key-file <file>", "file with the readable data key (mode 0600 or 0400, owned by you)")
    .option("--node <name>", "whose it is, for the records")
    .action(async (options: Options & { dataKeyFile: string }) => {
      using superKey = passphraseArgument("super key", undefined, options.superKeyFile);
      using dataKey = passphraseArgument("data key", undefined, options.dataKeyFile);
      const cipherDataKey = legacyEncryptDataKey(options.mode, superKey, dataKey);
      await withClient(options, async (client) => {
        const entry = await register(client, options, superKey, cipherDataKey);
        printData(options, entry, () => entry.cipherDataKey);
      });
    });
}

function encryptKeyFileCommand(): Command {
  return withSuperKey(new Command("encrypt-key-file"))
    .description("encrypt a node's private key file as the node reads it; the use is recorded")
    .argument("<file>", "PKCS#8 PEM; it is not changed")
    .requiredOption("--cipher-data-key <hex>", "the node's cipherDataKey")
    .requiredOption("--out <file>", "where the encrypted text goes (must not exist)")
    .action(async (path: string, options: Options & { cipherDataKey: string; out: string }) => {
      const cipherDataKey = cipherDataKeyArgument(options.cipherDataKey);
      using superKey = passphraseArgument("super key", undefined, options.superKeyFile);
      const file = readPlainKeyFile(path);
      using content = file.content;
      await withClient(options, (client) => register(client, options, superKey, cipherDataKey));
      using dataKey = legacyDecryptDataKey(options.mode, superKey, cipherDataKey);
      writeNew(options.out, Buffer.from(legacyEncryptKeyFile(options.mode, dataKey, content)));
      printData(options, { encrypted: path, out: options.out }, () => `${path} encrypted to ${options.out}`);
    });
}

function decryptKeyFileCommand(): Command {
  return withJson(withMode(new Command("decrypt-key-file")))
    .description("decrypt a node's private key file, to check it or to bring the node elsewhere")
    .argument("<file>", "the encrypted file")
    .requiredOption("--data-key-file <file>", "file with the readable data key (mode 0600 or 0400, owned by you)")
    .option(
      "--out <file>",
      "where the private key goes, mode 0600 (must not exist); without it the file is only checked",
    )
    .action((path: string, options: { mode: LegacyMode; dataKeyFile: string; out?: string; json?: boolean }) => {
      using dataKey = passphraseArgument("data key", undefined, options.dataKeyFile);
      const text = readFileSync(path);
      if (text.length > maxKeyFileBytes)
        throw new CommandFailure(exitCodes.usage, `${path} is too long for a key file`);
      using content = opened(options.mode, dataKey, text, path);
      if (options.out !== undefined) {
        content.expose((bytes) => writeNew(options.out ?? "", bytes));
        tell(`${options.out} holds the private key in clear`);
      }
      printData(options, { file: path, decrypts: true, bytes: content.byteLength }, () => `${path} decrypts`);
    });
}

function opened(mode: LegacyMode, dataKey: SecretBuffer, text: Buffer, path: string): SecretBuffer {
  try {
    return legacyDecryptKeyFile(mode, dataKey, text);
  } catch {
    throw new CommandFailure(
      exitCodes.integrity,
      `${path} does not decrypt: another data key or mode, or it was altered`,
    );
  }
}

function withMode(command: Command): Command {
  return command.addOption(
    new Option("--mode <mode>", "the chain's cipher: standard (AES-256) or sm (SM4)")
      .choices(["standard", "sm"])
      .default("standard"),
  );
}

function withSuperKey(command: Command): Command {
  return withJson(withConnection(withMode(command))).requiredOption(
    "--super-key-file <file>",
    "file with the super key (mode 0600 or 0400, owned by you)",
  );
}

function register(
  client: KeyManagerClient,
  { mode, node }: Options,
  superKey: SecretBuffer,
  cipherDataKey: string,
): Promise<LegacyEntry> {
  return client.legacy.register({ mode, superKey, cipherDataKey, ...(node === undefined ? {} : { node }) });
}

function writeNew(path: string, bytes: Uint8Array): void {
  try {
    writeFileSync(path, bytes, { mode: 0o600, flag: "wx", flush: true });
  } catch (cause) {
    throw new CommandFailure(exitCodes.other, `${path} cannot be written (${(cause as NodeJS.ErrnoException).code})`);
  }
}

function show(options: OutputOptions, entries: readonly LegacyEntry[]): void {
  printData(options, entries, () =>
    table(
      ["CIPHERDATAKEY", "MODE", "NODE", "ORIGIN", "CREATED"],
      entries.map((each) => [each.cipherDataKey, each.mode, each.node ?? "-", each.origin, each.createdAt]),
    ),
  );
}
