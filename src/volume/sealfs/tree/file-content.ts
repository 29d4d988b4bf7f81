import type { StoredFile } from "../stored-file.ts";
import { statusOf } from "../system/file-status.ts";
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
  /** A handle had it open. */
  wasHeld = false;
  #modifiedNs: bigint | undefined;
  #changedNs: bigint | undefined;
  #changed: boolean;
  #isAbandoned = false;

  /** @param isNew - Nothing of it was committed yet. */
  constructor(stored: StoredFile, file: SystemFile, isNew: boolean) {
    this.stored = stored;
    this.file = file;
    this.#changed = isNew;
  }

  /** The time of modification, where it is not yet the backing file's. */
  get modifiedNs(): bigint | undefined {
    return this.#modifiedNs;
  }

  /** When the content was changed that is not committed yet: the backing file's ctime moves with the commit. */
  get changedNs(): bigint | undefined {
    return this.#changed ? this.#changedNs : undefined;
  }

  /** True when something was changed and not committed since, and can be. */
  get changed(): boolean {
    return this.#changed && !this.#isAbandoned;
  }

  /** Nothing of it can be committed any more: who writes or closes it is told, and otherwise nobody is. */
  abandon(): void {
    this.#isAbandoned = true;
  }

  /** After each change of the content or size. */
  touch(): void {
    this.#modifiedNs = fileTimeNs();
    this.#changedNs = this.#modifiedNs;
    this.#changed = true;
  }

  setTimes(accessed: NewTime, modified: NewTime): void {
    if (modified !== undefined && this.#changed) this.#modifiedNs = modified === "now" ? fileTimeNs() : modified;
    setTimes({ descriptor: this.file.descriptor }, accessed, modified);
  }

  /** Commits what was changed; the backing file then has the file's own time of modification. @throws {FsError} */
  commit(): void {
    if (!this.#changed) return;
    this.stored.commit(false);
    this.#changed = false;
    this.#stampModified();
  }

  /** Commits so that it outlives a power loss, also what a close has committed before. @param all - Times and owner as well. */
  sync(all: boolean): void {
    this.#keepModified();
    this.file.syncsEverything = all;
    try {
      this.stored.commit(true);
    } finally {
      this.file.syncsEverything = false;
    }
    this.#changed = false;
    this.#stampModified();
  }

  /** `StoredFile.reseal`: rewrites blocks, which is no modification. @throws {FsError} */
  reseal(mostBytes: number): number {
    this.#keepModified();
    const left = this.stored.reseal(mostBytes);
    this.#changed = true;
    return left;
  }

  close(): void {
    try {
      try {
        this.commit();
      } finally {
        this.stored.close();
      }
    } catch (error) {
      if (!this.#isAbandoned) throw error;
    }
  }

  /** Before the backing file is written for a reason of its own. */
  #keepModified(): void {
    this.#modifiedNs ??= statusOf(this.file.descriptor).modifiedNs;
  }

  #stampModified(): void {
    if (this.#modifiedNs === undefined) return;
    setTimes({ descriptor: this.file.descriptor }, undefined, this.#modifiedNs);
    this.#modifiedNs = undefined;
  }
}
