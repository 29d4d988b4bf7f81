import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { CustodyError } from "./errors.ts";

/**
 * The data folder's lock: one process at a time. It is an SQLite file held in exclusive mode, so the kernel drops the lock
 * when its holder dies, however it dies.
 */
export class FolderLock implements Disposable {
  readonly #database: DatabaseSync;

  /** @throws {CustodyError} `STORE_LOCKED` when another process (or this one) holds it. */
  constructor(folder: string) {
    try {
      this.#database = new DatabaseSync(join(folder, "lock"), { timeout: 0 });
    } catch (cause) {
      throw new CustodyError("STORE_UNUSABLE", `the data folder ${folder} cannot be written`, cause);
    }
    try {
      this.#database.exec(
        "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE IF NOT EXISTS held (by TEXT); COMMIT;",
      );
      this.#database.exec("BEGIN EXCLUSIVE");
    } catch (cause) {
      this.#database.close();
      if (!(cause instanceof Error) || !/locked|busy/.test(cause.message))
        throw new CustodyError("STORE_UNUSABLE", `the data folder ${folder} cannot be written`, cause);
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
