import type { StoredFile } from "../stored-file.ts";
import { fileTimeNs, type NewTime, setTimes } from "../system/inode.ts";
import type { SystemFile } from "../system/system-file.ts";

/**
 * A regular file's content while it is open, with the file's own time of modification: the backing file's is that of the last
 * write below, which comes later (at a commit) or not at all.
 */
export class FileContent {
  readonly stored: StoredFile;
  readonly file: SystemFile;
  /** Handles that are open on it; at 0 it is kept for a while, to be opened again soon. */
  handles = 0;
  #modifiedNs: bigint | undefined;

  constructor(stored: StoredFile, file: SystemFile) {
    this.stored = stored;
    this.file = file;
  }

  /** The time of modification, where it is not yet the backing file's. */
  get modifiedNs(): bigint | undefined {
    return this.#modifiedNs;
  }

  /** True when something was changed and not committed since. */
  get changed(): boolean {
    return this.#modifiedNs !== undefined;
  }

  /** After each change of the content or size. */
  touch(): void {
    this.#modifiedNs = fileTimeNs();
  }

  setTimes(accessed: NewTime, modified: NewTime): void {
    if (modified !== undefined && this.changed) this.#modifiedNs = modified === "now" ? fileTimeNs() : modified;
    setTimes({ descriptor: this.file.descriptor }, accessed, modified);
  }

  /** Commits what was changed; the backing file then has the file's own time of modification. @throws {FsError} */
  commit(): void {
    if (this.#modifiedNs === undefined) return;
    this.stored.commit(false);
    this.#stampModified();
  }

  /** Commits so that it outlives a power loss, also what a close has committed before. @param all - Times and owner as well. */
  sync(all: boolean): void {
    this.file.syncsEverything = all;
    try {
      this.stored.commit(true);
    } finally {
      this.file.syncsEverything = false;
    }
    this.#stampModified();
  }

  close(): void {
    const modifiedNs = this.#modifiedNs;
    try {
      if (modifiedNs !== undefined) this.commit();
    } finally {
      this.stored.close();
    }
  }

  #stampModified(): void {
    if (this.#modifiedNs === undefined) return;
    setTimes({ descriptor: this.file.descriptor }, undefined, this.#modifiedNs);
    this.#modifiedNs = undefined;
  }
}
