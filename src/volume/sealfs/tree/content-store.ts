import type { BackingFile, StoredFile } from "../stored-file.ts";
import type { TreeZone } from "./tree-keys.ts";

/** Of a regular file. */
export interface ContentSize {
  readonly bytes: number;
  readonly allocatedBytes: number;
}

/** How the content of a regular file is made and opened, by its zone. Both own the backing file, also when they fail. */
export interface ContentStore {
  /** 16 bytes for a file that is made now. Left out: random ones. */
  newFileId?(): Buffer;
  /** In an empty backing file. @throws {FsError} */
  create(backing: BackingFile, fileId: Buffer, zone: TreeZone): StoredFile;
  /**
   * @param closedBefore - It was closed since the tree was opened, so nothing of it can have been lost.
   * @throws {FsError} EIO when it is damaged, ENOKEY when the zone's keys are not there.
   */
  open(backing: BackingFile, fileId: Buffer, zone: TreeZone, closedBefore: boolean): StoredFile;
  /**
   * How large a content is that is not open, where that can be told without opening it; the backing file stays the caller's.
   *
   * @returns Undefined: it is to be opened.
   */
  size?(backing: BackingFile, fileId: Buffer, zone: TreeZone): ContentSize | undefined;
  /** Before a file is opened whose content is read later. @throws {FsError} ENOKEY when the zone's keys were destroyed. */
  requireKey?(zone: TreeZone): void;
  /** The last name of a file is gone, and it was closed or is to be. */
  removed?(fileId: Buffer): void;
}
