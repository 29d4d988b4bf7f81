import { accessSync, constants, existsSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { dataFiles } from "./data-files.ts";
import { CustodyError } from "./errors.ts";

/**
 * The data folder's lock: one process at a time. It is an SQLite file held in exclusive mode, so the kernel drops the lock
 * when its holder dies, however it dies.
 */
export class FolderLock implements Disposable {
  readonly #database: DatabaseSync;

  /** @throws {CustodyError} `STORE_LOCKED` when another process (or this one) holds it. */
  constructor(folder: string) {
    const path = join(folder, dataFiles.lock);
    try {
      // SQLite would open a file that it may not write for reading, and then lock nothing.
      accessSync(folder, constants.W_OK);
      if (existsSync(path)) accessSync(path, constants.W_OK);
      this.#database = new DatabaseSync(path, { timeout: 0 });
    } catch (cause) {
      throw unwritable(folder, cause);
    }
    try {
      this.#database.exec(
        "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE IF NOT EXISTS held (by TEXT); COMMIT;",
      );
      this.#database.exec("BEGIN EXCLUSIVE");
    } catch (cause) {
      this.#database.close();
      if (!(cause instanceof Error) || !/locked|busy/.test(cause.message)) throw unwritable(folder, cause);
      throw new CustodyError(
        "STORE_LOCKED",
        `another Strongroom process works on ${folder}: stop it, or use its admin socket`,
      );
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

function unwritable(folder: string, cause: unknown): CustodyError {
  const error: Partial<NodeJS.ErrnoException> = cause instanceof Error ? cause : {};
  const reason = error.errno === undefined ? error.message : error.code;
  return new CustodyError("STORE_UNUSABLE", `the data folder ${folder} cannot be written (${reason})`, cause);
}
