import { copyFileSync, createReadStream, linkSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { ClassicLevel } from "classic-level";
import { CryptoError } from "../crypto/errors.ts";
import type { LegacyMode } from "../crypto/legacy-fisco.ts";
import { type LegacyDatabaseFormat, legacyDecryptDatabaseValue } from "../crypto/legacy-fisco-database.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { CommandFailure, exitCodes } from "./failure.ts";

/** One row of a node's database as it is stored: the key is clear, the value encrypted. */
export interface StoredRow {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** A row after decryption; `value` is undefined when it does not decrypt. */
export interface OpenedRow {
  readonly key: Buffer;
  readonly value: Buffer | undefined;
}

/** Where a FISCO BCOS 2 node on LevelDB keeps its cipherDataKey, in clear. */
const clearKey = "cipherDataKey";

/** Longest line of a dump: a value of 16 MiB in hex. */
const maxLineCharacters = 34 << 20;

/**
 * Decrypts the rows of a node's database.
 *
 * @param dataKey - The readable data key.
 */
export async function* openRows(
  rows: AsyncIterable<StoredRow>,
  format: LegacyDatabaseFormat,
  mode: LegacyMode,
  dataKey: SecretBuffer,
): AsyncGenerator<OpenedRow> {
  for await (const { key, value } of rows) {
    if (key.toString("latin1") === clearKey) {
      yield { key, value };
      continue;
    }
    let opened: Buffer | undefined;
    try {
      opened = legacyDecryptDatabaseValue(format, mode, dataKey, value);
    } catch (error) {
      if (!(error instanceof CryptoError)) throw error;
    }
    yield { key, value: opened };
  }
}

/**
 * The rows of a LevelDB folder, or of RocksDB's own dump (`ldb scan --hex` or `ldb dump --hex`) in a file, or on standard
 * input for `-`. A folder is read through a copy beside it that shares the table files, since LevelDB has no way to open
 * a database without writing to it. The node must be stopped.
 *
 * @throws {CommandFailure} For a RocksDB folder, and for what is neither.
 */
export async function* storedRows(path: string): AsyncGenerator<StoredRow> {
  if (path === "-") return yield* dumpRows(process.stdin);
  let isFolder: boolean;
  try {
    isFolder = statSync(path).isDirectory();
  } catch (cause) {
    throw new CommandFailure(exitCodes.usage, `${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`);
  }
  if (!isFolder) return yield* dumpRows(createReadStream(path));
  const names = readdirSync(path);
  if (names.some((name) => name === "IDENTITY" || name.startsWith("OPTIONS-") || name.endsWith(".sst")))
    throw new CommandFailure(
      exitCodes.other,
      `${path} is a RocksDB database, which is read through RocksDB's own tool`,
      `ldb --db=${path} scan --hex | strongroom legacy read-db … -`,
    );
  if (!names.includes("CURRENT")) throw new CommandFailure(exitCodes.usage, `${path} is not a LevelDB folder`);
  yield* levelRows(path, names);
}

async function* levelRows(path: string, names: readonly string[]): AsyncGenerator<StoredRow> {
  const copy = copyOf(path, names);
  try {
    const level = new ClassicLevel<Buffer, Buffer>(copy, {
      keyEncoding: "buffer",
      valueEncoding: "buffer",
      createIfMissing: false,
    });
    try {
      await level.open();
    } catch (cause) {
      const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
      throw new CommandFailure(exitCodes.integrity, `${path} does not open as LevelDB: ${reason}`);
    }
    try {
      for await (const [key, value] of level.iterator()) yield { key, value };
    } finally {
      await level.close();
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** Table files never change, so they are linked where that is possible; the rest is copied. */
function copyOf(path: string, names: readonly string[]): string {
  const copy = workFolder(path);
  try {
    for (const name of names) {
      if (name === "LOCK" || name.startsWith("LOG")) continue;
      const from = join(path, name);
      const to = join(copy, name);
      if (!/\.(?:ldb|sst)$/.test(name) || !linked(from, to)) copyFileSync(from, to);
    }
    return copy;
  } catch (error) {
    rmSync(copy, { recursive: true, force: true });
    throw error;
  }
}

function workFolder(path: string): string {
  try {
    return mkdtempSync(join(dirname(resolve(path)), ".strongroom-read-"));
  } catch {
    return mkdtempSync(join(tmpdir(), "strongroom-read-"));
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch {
    return false;
  }
}

/** Lines `0x… : 0x…` (scan) or `0x… ==> 0x…` (dump); other lines, such as a summary, are ignored unless none fits. */
async function* dumpRows(input: NodeJS.ReadableStream): AsyncGenerator<StoredRow> {
  let rows = 0;
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line.length > maxLineCharacters) throw new CommandFailure(exitCodes.other, "a line of the dump is too long");
    const match = /^0x([0-9A-Fa-f]*) (?::|==>) 0x([0-9A-Fa-f]*)\s*$/.exec(line);
    if (match === null) continue;
    const [, key = "", value = ""] = match;
    if (key.length % 2 !== 0 || value.length % 2 !== 0)
      throw new CommandFailure(exitCodes.other, `row ${rows + 1} of the dump is not whole bytes of hex`);
    rows += 1;
    yield { key: Buffer.from(key, "hex"), value: Buffer.from(value, "hex") };
  }
  if (rows === 0)
    throw new CommandFailure(exitCodes.other, "the dump has no rows as `ldb scan --hex` writes them (0x… : 0x…)");
}
