import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { dataFiles } from "./data-files.ts";
import { CustodyError } from "./errors.ts";
import { FolderLock } from "./folder-lock.ts";

/**
 * A folder in which a key manager is being made: its lock is held, and nothing else is in it. Unless it is {@link keep kept},
 * disposing of it takes everything back, so that an init that failed can be tried again.
 */
export class NewDataFolder implements Disposable {
  readonly #path: string;
  readonly #lock: FolderLock;
  readonly #made: boolean;
  #kept = false;

  /**
   * Makes the folder, or takes one that is empty; it becomes 0700.
   *
   * @throws {CustodyError} `STORE_UNUSABLE` when it holds anything or cannot be written; `STORE_LOCKED`.
   */
  constructor(path: string) {
    this.#path = path;
    this.#made = makeFolder(path);
    try {
      this.#lock = new FolderLock(path);
    } catch (error) {
      if (this.#made) this.#leave();
      throw error;
    }
    try {
      // Another init may have come and gone before the lock was ours.
      mustBeEmpty(path);
      for (const name of readdirSync(path)) if (!name.startsWith(dataFiles.lock)) rmSync(join(path, name));
    } catch (error) {
      this.#lock[Symbol.dispose]();
      throw error;
    }
  }

  keep(): void {
    this.#kept = true;
  }

  [Symbol.dispose](): void {
    try {
      if (!this.#kept) this.#takeBack();
    } finally {
      this.#lock[Symbol.dispose]();
    }
  }

  #takeBack(): void {
    for (const name of readdirSync(this.#path))
      if (Object.values(dataFiles).some((file) => name.startsWith(file)))
        rmSync(join(this.#path, name), { force: true });
    if (this.#made && readdirSync(this.#path).length === 0) rmdirSync(this.#path);
  }

  /** The lock could not be taken: a lock file without a byte in it was never anyone's. */
  #leave(): void {
    const lock = join(this.#path, dataFiles.lock);
    if (existsSync(lock) && statSync(lock).size === 0) rmSync(lock);
    if (readdirSync(this.#path).length === 0) rmdirSync(this.#path);
  }
}

/** @throws {CustodyError} `STORE_UNUSABLE` unless a key manager was made in the folder and it can be read. */
export function mustBeDataFolder(path: string): void {
  try {
    accessSync(join(path, dataFiles.slots), constants.R_OK);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "";
    const absent = code === "ENOENT" || code === "ENOTDIR";
    throw new CustodyError(
      "STORE_UNUSABLE",
      absent
        ? `${path} is not a key manager's data folder: make one with strongroom init`
        : `the data folder ${path} cannot be read (${code})`,
      cause,
    );
  }
}

/** Returns true when the folder was not there before. */
function makeFolder(path: string): boolean {
  try {
    const made = !existsSync(path);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    mustBeEmpty(path);
    chmodSync(path, 0o700);
    return made;
  } catch (cause) {
    if (cause instanceof CustodyError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? "";
    throw new CustodyError("STORE_UNUSABLE", `the folder ${path} cannot be made or written (${code})`, cause);
  }
}

/** What an init that was killed before its first slot was in place leaves behind, and nobody needs. */
function isLeftover(name: string): boolean {
  return name.startsWith(dataFiles.lock) || name.startsWith(`${dataFiles.slots}.new-`);
}

function mustBeEmpty(path: string): void {
  if (!readdirSync(path).every(isLeftover))
    throw new CustodyError("STORE_UNUSABLE", `${path} is not empty: a key manager is made in a new folder`);
}
