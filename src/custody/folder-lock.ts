import { join } from "node:path";
import { FileLock, LockHeld } from "../devices/file-lock.ts";
import { dataFiles } from "./data-files.ts";
import { CustodyError } from "./errors.ts";

/** The data folder's lock: one process at a time. The kernel drops it when its holder dies. */
export class FolderLock implements Disposable {
  readonly #lock: FileLock;

  /** @throws {CustodyError} `STORE_LOCKED` when another process (or this one) holds it; `STORE_UNUSABLE`. */
  constructor(folder: string) {
    try {
      this.#lock = new FileLock(join(folder, dataFiles.lock), 0);
    } catch (cause) {
      if (!(cause instanceof LockHeld)) throw unwritable(folder, cause);
      throw new CustodyError(
        "STORE_LOCKED",
        `another Strongroom process works on ${folder}: stop it, or use its admin socket`,
      );
    }
  }

  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]();
  }
}

function unwritable(folder: string, cause: unknown): CustodyError {
  const error: Partial<NodeJS.ErrnoException> = cause instanceof Error ? cause : {};
  const reason = error.errno === undefined ? error.message : error.code;
  return new CustodyError("STORE_UNUSABLE", `the data folder ${folder} cannot be written (${reason})`, cause);
}
