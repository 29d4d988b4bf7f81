import { timingSafeEqual } from "node:crypto";
import { FsError } from "../fs-error.ts";
import { getAttribute, setAttribute } from "../system/extended-attributes.ts";
import type { InodePlace } from "../system/inode.ts";
import type { EntryNames } from "./entry-names.ts";

/**
 * A backing folder has an attribute that says whose it is, so that two folders that were exchanged are noticed even when one is
 * empty. Where the file system below keeps no such attributes, and where a crash came before it was set, there is none.
 */
const markName = "user.sealfs-folder";
const noMarkCodes: ReadonlySet<string> = new Set(["ENODATA", "EOPNOTSUPP"]);

/** Of a new folder. @throws {FsError} When there is no room for it. */
export function markFolder(names: EntryNames, place: InodePlace, folderId: Buffer): void {
  try {
    setAttribute(place, markName, names.folderMark(folderId), 0);
  } catch (error) {
    if (!(error instanceof FsError) || error.code !== "EOPNOTSUPP") throw error;
  }
}

/** @throws {FsError} */
export function readFolderMark(names: EntryNames, place: InodePlace, folderId: Buffer): "right" | "wrong" | "absent" {
  let found: Buffer;
  try {
    found = getAttribute(place, markName);
  } catch (error) {
    if (error instanceof FsError && noMarkCodes.has(error.code)) return "absent";
    throw error;
  }
  const expected = names.folderMark(folderId);
  return found.length === expected.length && timingSafeEqual(found, expected) ? "right" : "wrong";
}
