import { Command, InvalidArgumentError, Option } from "commander";
import type { LegacyMode } from "../crypto/legacy-fisco.ts";
import type { LegacyDatabaseFormat } from "../crypto/legacy-fisco-database.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { passphraseArgument } from "./fisco-arguments.ts";
import { openRows, storedRows } from "./legacy-database.ts";
import { tell, withJson } from "./output.ts";

interface Options {
  readonly format: LegacyDatabaseFormat;
  readonly mode: LegacyMode;
  readonly dataKeyFile: string;
  readonly verify?: boolean;
  readonly limit?: number;
  readonly json?: boolean;
}

const maxNamedFailures = 20;

/** `strongroom legacy read-db`: prints, or only checks, the values of a FISCO BCOS node's database. */
export function readDbCommand(): Command {
  const readDb = new Command("read-db")
    .description("Decrypt the values of a stopped FISCO BCOS node's database, or check that they decrypt.")
    .argument("<path>", "LevelDB folder; for RocksDB a file of `ldb scan --hex`, or - for standard input")
    .addOption(
      new Option("--format <format>", "how the node stores values (docs/fisco.md)")
        .choices(["v2-raw", "v2-snappy", "v3", "v3.3"])
        .makeOptionMandatory(),
    )
    .addOption(new Option("--mode <mode>", "the chain's cipher").choices(["standard", "sm"]).default("standard"))
    .requiredOption("--data-key-file <file>", "file with the readable data key (mode 0600 or 0400, owned by you)")
    .option("--verify", "print no values, only how many decrypt and which do not")
    .option("--limit <rows>", "stop after so many rows", rowCount)
    .addHelpText(
      "after",
      `
The database is not changed. That a value decrypts shows the right key; it does not show that nobody altered it: these
formats authenticate nothing. Exit code 5 when a value does not decrypt.

Example:
  strongroom legacy read-db --format v2-raw --data-key-file ./data.key nodes/node0/data/group1/block/LevelDB
  ldb --db=nodes/node0/data scan --hex | strongroom legacy read-db --format v3.3 --data-key-file ./data.key --verify -`,
    );
  return withJson(readDb).action(run);
}

async function run(path: string, options: Options): Promise<void> {
  using dataKey = passphraseArgument("data key", undefined, options.dataKeyFile);
  const failed: string[] = [];
  let rows = 0;
  let failures = 0;
  const printing = !options.verify;
  if (printing && options.json) process.stdout.write("[");
  for await (const { key, value } of openRows(storedRows(path), options.format, options.mode, dataKey)) {
    if (value === undefined) {
      failures += 1;
      if (failed.length < maxNamedFailures) failed.push(shown(key));
    } else if (printing)
      await print(options.json ? jsonRow(rows - failures, key, value) : `${shown(key)}\t${shown(value)}\n`);
    rows += 1;
    if (rows === options.limit) break;
  }
  if (printing && options.json) process.stdout.write("]\n");
  if (!printing) report(options, rows, failed, failures);
  if (failures === 0) return;
  throw new CommandFailure(
    exitCodes.integrity,
    failures === rows
      ? `none of the ${rows} values decrypts: another data key, mode or format`
      : `${failures} of ${rows} values do not decrypt, first: ${failed[0]}`,
  );
}

function report(options: Options, rows: number, failed: readonly string[], failures: number): void {
  if (options.json) process.stdout.write(`${JSON.stringify({ rows, decrypted: rows - failures, failed })}\n`);
  else process.stdout.write(`${rows - failures} of ${rows} values decrypt\n`);
  for (const key of options.json ? [] : failed) tell(`does not decrypt: ${key}`);
}

function jsonRow(index: number, key: Buffer, value: Buffer): string {
  return `${index === 0 ? "" : ",\n"}${JSON.stringify({ key: shown(key), value: shown(value), valueHex: value.toString("hex") })}`;
}

/** Printable text as it is, anything else in hex. */
function shown(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  return /^\P{C}*$/u.test(text) && Buffer.from(text).equals(bytes) && !text.startsWith("0x")
    ? text
    : `0x${bytes.toString("hex")}`;
}

/** Waits for a slow reader, so that a large database does not pile up in memory. */
async function print(text: string): Promise<void> {
  if (!process.stdout.write(text)) await new Promise((resolve) => process.stdout.once("drain", resolve));
}

function rowCount(text: string): number {
  if (!/^[1-9][0-9]{0,11}$/.test(text)) throw new InvalidArgumentError("takes a number from 1.");
  return Number(text);
}
