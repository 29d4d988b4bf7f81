import type { BackingFile, StoredFile } from "../stored-file.ts";
import type { TreeZone } from "./tree-keys.ts";

/** How the content of a regular file is made and opened, by its zone. Both own the backing file, also when they fail. */
export interface ContentStore {
  /** In an empty backing file. @throws {FsError} */
  create(backing: BackingFile, fileId: Buffer, zone: TreeZone): StoredFile;
  /**
   * @param closedBefore - It was closed since the tree was opened, so nothing of it can have been lost.
   * @throws {FsError} EIO when it is damaged, ENOKEY when the zone's keys are not there.
   */
  open(backing: BackingFile, fileId: Buffer, zone: TreeZone, closedBefore: boolean): StoredFile;
}
