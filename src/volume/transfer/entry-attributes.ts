import type { FsError } from "../sealfs/fs-error.ts";
import { fileType } from "../sealfs/system/calls.ts";
import { getAttribute, listAttributes, setAttribute } from "../sealfs/system/extended-attributes.ts";
import type { FileStatus } from "../sealfs/system/file-status.ts";
import { type InodePlace, setMode, setOwner, setTimes, statusOfInode } from "../sealfs/system/inode.ts";
import type { EntryRecord } from "./entry-record.ts";

/** `keep`: as the export says, which takes root where they are others; `mine`: all belongs to who imports. */
export type ImportedOwners = "keep" | "mine";

const userAttributes = "user.";

/** What an export says of an entry besides its content. Only files and folders have attributes of users. */
export function readEntryOf(name: string, status: FileStatus, place: InodePlace): EntryRecord {
  const { mode, uid, gid, accessedNs, modifiedNs } = status;
  const type = mode & fileType.mask;
  const hasAttributes = type === fileType.regular || type === fileType.directory;
  const names = hasAttributes ? attributeNames(place) : [];
  const attributes = names.map((key) => [key, Buffer.from(getAttribute(place, key))] as const);
  return { name, mode, uid, gid, accessedNs, modifiedNs, attributes };
}

/** Gives a new entry all but its content and name; the times last. @throws {FsError} */
export function applyEntry(place: InodePlace, entry: EntryRecord, owners: ImportedOwners): void {
  const { mode, uid, gid, accessedNs, modifiedNs, attributes } = entry;
  for (const [key, value] of attributes) setAttribute(place, key, value, 0);
  const made = statusOfInode(place);
  if (owners === "keep" && (made.uid !== uid || made.gid !== gid)) setOwner(place, uid, gid);
  // After the owner: a change of owner takes set-id bits away. A link's own mode is always the same.
  if ((mode & fileType.mask) !== fileType.symlink) setMode(place, mode);
  setTimes(place, accessedNs, modifiedNs);
}

function attributeNames(place: InodePlace): string[] {
  try {
    return listAttributes(place).filter((name) => name.startsWith(userAttributes));
  } catch (error) {
    // A file system without attributes has none to keep.
    if ((error as FsError).code === "EOPNOTSUPP") return [];
    throw error;
  }
}
