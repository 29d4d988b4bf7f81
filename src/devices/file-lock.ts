import { accessSync, constants, existsSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Another process, or another lock in this one, holds it. */
export class LockHeld extends Error {
  override readonly name = "LockHeld";
}

/**
 * A lock on a file of its own: one holder at a time. It is an SQLite file held in exclusive mode, so the kernel drops the
 * lock when its holder dies, however it dies; the file stays.
 */
export class FileLock implements Disposable {
  readonly #database: DatabaseSync;

  /**
   * @param path - The lock's file; made when it is not there.
   * @param waitMs - How long to wait for a holder to let go. Blocks the thread.
   * @throws {LockHeld}
   * @throws {Error} With an `errno` or SQLite's `errcode`, when the file cannot be made or written.
   */
  constructor(path: string, waitMs: number) {
    // SQLite would open a file that it may not write for reading, and then lock nothing.
    accessSync(dirname(path), constants.W_OK);
    const isNew = !existsSync(path);
    if (!isNew) accessSync(path, constants.W_OK);
    this.#database = new DatabaseSync(path, { timeout: waitMs });
    try {
      this.#database.exec(
        "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE IF NOT EXISTS held (by TEXT); COMMIT;",
      );
      this.#database.exec("BEGIN EXCLUSIVE");
    } catch (cause) {
      this.#database.close();
      if (!(cause instanceof Error) || !/locked|busy/.test(cause.message)) {
        // What could not be written is of no use to the next one either.
        if (isNew) rmSync(path, { force: true });
        throw cause;
      }
      throw new LockHeld(`${path} is held`, { cause });
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}
