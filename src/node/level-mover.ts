import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import type { SuiteName } from "../crypto/suite.ts";
import { EncryptedLevel } from "../level/encrypted-level.ts";
import type { DataMover } from "./data-mover.ts";
import { NodeError } from "./errors.ts";
import { readTree } from "./tree.ts";

export interface LevelMoverOptions {
  /** The key that the program opens its databases with. */
  readonly key: SecretBuffer;
  readonly suite: SuiteName;
  readonly encryptKeyNames: boolean;
  /** `seal`: plain databases become encrypted ones; `open`: the way back. */
  readonly direction: "seal" | "open";
}

type Database = ClassicLevel<Buffer, Buffer> | EncryptedLevel<Buffer, Buffer>;

const encodings = { keyEncoding: "buffer", valueEncoding: "buffer" } as const;
const entriesPerBatch = 500;

/** Volumes of kind `level`: each LevelDB folder is written anew, entry by entry, through `EncryptedLevel`. */
export function levelMover({ key, suite, encryptKeyNames, direction }: LevelMoverOptions): DataMover {
  const plain = (path: string): Database => new ClassicLevel<Buffer, Buffer>(path, encodings);
  const encrypted = (path: string): Database =>
    new EncryptedLevel<Buffer, Buffer>(path, { ...encodings, dataKey: key, suite, encryptKeyNames });
  const [source, target] = direction === "seal" ? [plain, encrypted] : [encrypted, plain];
  return {
    async copy(from, to) {
      for (const name of databasesIn(from)) {
        rmSync(join(to, name), { recursive: true, force: true });
        mkdirSync(join(to, name), { recursive: true, mode: 0o700 });
        await withBoth(source(join(from, name)), target(join(to, name)), copyEntries);
      }
    },
    async verify(from, to) {
      const whole = createHash("sha256");
      const names = databasesIn(from);
      if (names.join("\0") !== databasesIn(to).join("\0")) return undefined;
      for (const name of names) {
        const digest = await withBoth(source(join(from, name)), target(join(to, name)), compareEntries);
        if (digest === undefined) return undefined;
        whole.update(`${name}\0${digest}\n`);
      }
      return whole.digest("hex");
    },
  };
}

/** Refuses a folder that holds more than LevelDB folders. @throws {NodeError} `INPUT_INVALID`. */
export function checkDatabases(folder: string): void {
  databasesIn(folder);
}

/**
 * The LevelDB folders under a folder: those with a CURRENT file.
 *
 * @throws {NodeError} `INPUT_INVALID` for any other file: nothing would encrypt it.
 */
function databasesIn(folder: string): string[] {
  const entries = readTree(folder);
  const found = entries
    .filter(({ path, kind }) => kind === "folder" && isDatabase(join(folder, path)))
    .map(({ path }) => path);
  const others = entries.filter(
    ({ path, kind }) => kind !== "folder" && !found.some((name) => path.startsWith(`${name}/`)),
  );
  if (others.length > 0) {
    const shown = others.slice(0, 3).map(({ path }) => path);
    throw new NodeError(
      "INPUT_INVALID",
      `${folder} holds ${others.length} files outside LevelDB folders (${shown.join(", ")}), which a level volume does not encrypt`,
      { hint: "seal, move or remove them, or use a volume of kind gocryptfs or fscrypt" },
    );
  }
  return found;
}

function isDatabase(folder: string): boolean {
  return lstatSync(join(folder, "CURRENT"), { throwIfNoEntry: false })?.isFile() === true;
}

async function withBoth<T>(
  from: Database,
  to: Database,
  work: (from: Database, to: Database) => Promise<T>,
): Promise<T> {
  await from.open();
  try {
    await to.open();
    try {
      return await work(from, to);
    } finally {
      await to.close();
    }
  } finally {
    await from.close();
  }
}

async function copyEntries(from: Database, to: Database): Promise<void> {
  let batch: { type: "put"; key: Buffer; value: Buffer }[] = [];
  for await (const [key, value] of from.iterator()) {
    batch.push({ type: "put", key, value });
    if (batch.length < entriesPerBatch) continue;
    await to.batch(batch);
    batch = [];
  }
  // The last write is synced, and LevelDB's log is written in order: all before it is durable as well.
  await (to as ClassicLevel<Buffer, Buffer>).batch(batch, { sync: true });
}

/** Reads every entry of `from` in `to`; a digest over all of them when they are equal and there are no others. */
async function compareEntries(from: Database, to: Database): Promise<string | undefined> {
  const hash = createHash("sha256");
  let count = 0;
  for await (const [key, value] of from.iterator()) {
    const there = await to.get(key);
    if (there === undefined || !value.equals(there)) return undefined;
    for (const part of [key, value]) hash.update(`${part.length}:`).update(part);
    count += 1;
  }
  for await (const _key of to.keys()) count -= 1;
  return count === 0 ? hash.digest("hex") : undefined;
}
