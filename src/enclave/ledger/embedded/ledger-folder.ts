import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { EnclaveError } from "../../errors.ts";

/** Names of files in an embedded ledger's folder. */
export class LedgerFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The first block; it is written last, so a folder without one is no ledger. */
  get genesisBlock(): string {
    return join(this.path, "genesis.block");
  }

  get lock(): string {
    return join(this.path, "ledger.lock");
  }

  get blocks(): string {
    return join(this.path, "orderer", "blocks.db");
  }

  /** Without ending: certificates end in `.pem`, private keys in `.key`. */
  identity(mspId: string, name: string): string {
    return join(this.path, "organisations", mspId, name);
  }

  peerDatabase(mspId: string, index: number): string {
    return join(this.path, "peers", mspId, `${index}.db`);
  }

  /** How many peers an organisation has. */
  peerCount(mspId: string): number {
    return readdirSync(join(this.path, "organisations", mspId)).filter((name) => /^peer\d+\.pem$/.test(name)).length;
  }

  get isComplete(): boolean {
    return existsSync(this.genesisBlock);
  }
}

const retryMs = 50;

/** One process at a time works on a ledger's folder. The kernel lets the lock go when its holder ends, however it ends. */
export class LedgerLock implements Disposable {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** @throws EnclaveError LEDGER_UNAVAILABLE: somebody has it, and still after `waitMs` */
  static async take(folder: LedgerFolder, waitMs: number): Promise<LedgerLock> {
    for (const started = performance.now(); ; ) {
      const lock = LedgerLock.#try(folder.lock);
      if (lock !== undefined) return lock;
      if (performance.now() - started >= waitMs)
        throw new EnclaveError("LEDGER_UNAVAILABLE", `another process works on the ledger in ${folder.path}`, {
          hint: "end that process, or let it do this",
        });
      await sleep(retryMs);
    }
  }

  static #try(path: string): LedgerLock | undefined {
    const database = new DatabaseSync(path, { timeout: 0 });
    try {
      database.exec(
        "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE IF NOT EXISTS held (by TEXT); COMMIT; BEGIN EXCLUSIVE;",
      );
      return new LedgerLock(database);
    } catch (error) {
      database.close();
      if (error instanceof Error && /locked|busy/.test(error.message)) return undefined;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

/** Writes a file, 0600, that is whole or not there after a crash. Makes its folder. */
export function writeFileDurably(path: string, bytes: Uint8Array): void {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const temporary = `${path}.new`;
  const file = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o600);
  try {
    writeFileSync(file, bytes);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  syncFolder(folder);
}

function syncFolder(path: string): void {
  const folder = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
