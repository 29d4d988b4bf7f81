import { type ListedEntry, listFolder, removeFolder, unlinkFile } from "../system/backing-folder.ts";
import { fileType } from "../system/calls.ts";
import { statusAt } from "../system/file-status.ts";
import type { EntryNames } from "./entry-names.ts";
import { removeIfThere, type Sidecars } from "./sidecars.ts";
import type { ReportTreeEvent } from "./tree-events.ts";

/** A verified entry of a folder. */
export interface TreeEntry {
  readonly name: string;
  readonly backingName: string;
  readonly fileId: string;
  readonly sequence: bigint;
  /** S_IFMT bits. */
  readonly type: number;
  readonly inode: bigint;
}

/** Where a folder's index is read from. */
export interface IndexedFolder {
  readonly descriptor: number;
  readonly id: Buffer;
  readonly zoneId: Buffer;
}

/** What a folder holds: its entries by name, all verified, and the shown names of those that are damaged. */
export class FolderIndex {
  readonly entries = new Map<string, TreeEntry>();
  readonly damaged = new Set<string>();
  /** Files that are none of the file system's; they keep the folder from being removed. */
  strays = 0;

  get empty(): boolean {
    return this.entries.size === 0 && this.damaged.size === 0 && this.strays === 0;
  }
}

/**
 * Reads and verifies a whole folder. What a crash has left is cleared away: of two entries with one name the one of the lower
 * sequence, and sidecars without an entry.
 *
 * @throws {FsError} When the folder cannot be listed.
 */
export function readFolderIndex(
  folder: IndexedFolder,
  names: EntryNames,
  sidecars: Sidecars,
  report: ReportTreeEvent,
): FolderIndex {
  const index = new FolderIndex();
  const folderId = folder.id.toString("base64url");
  const sidecarsSeen: string[] = [];
  const shownSeen = new Set<string>();
  for (const listed of listFolder(folder.descriptor)) {
    const parsed = names.parse(listed.name);
    if (parsed === undefined) {
      const sidecar = names.sidecarOf(listed.name);
      if (sidecar === "begun") removeIfThere(folder.descriptor, listed.name);
      else if (sidecar !== undefined) sidecarsSeen.push(sidecar);
      else {
        index.strays += 1;
        report({ kind: "stray-file", folderId, backingName: listed.name });
      }
      continue;
    }
    const damaged = (kind: "entry-damaged" | "name-damaged" | "entry-repeated") => {
      index.damaged.add(parsed.shown);
      report({ kind, folderId, fileId: parsed.fileId, backingName: listed.name });
    };
    shownSeen.add(parsed.shown);
    const type = typeOf(folder.descriptor, listed);
    if (!names.verify(folder.id, folder.zoneId, type, listed.name)) {
      damaged("entry-damaged");
      continue;
    }
    const name = names.isHashed(parsed.shown)
      ? sidecars.read(folder.descriptor, folder.id, parsed.shown)
      : names.name(folder.id, parsed.shown);
    if (name === undefined) {
      damaged("name-damaged");
      continue;
    }
    const { fileId, sequence } = parsed;
    const entry: TreeEntry = { name, backingName: listed.name, fileId, sequence, type, inode: listed.inode };
    const other = index.entries.get(name);
    if (other === undefined) index.entries.set(name, entry);
    else if (other.sequence === sequence) {
      damaged("entry-repeated");
      index.entries.delete(name);
    } else {
      const [winner, loser] = other.sequence > sequence ? [other, entry] : [entry, other];
      index.entries.set(name, winner);
      finishReplacing(folder.descriptor, folderId, loser, report);
    }
  }
  for (const shown of sidecarsSeen)
    if (!shownSeen.has(shown)) removeIfThere(folder.descriptor, names.sidecarName(shown));
  return index;
}

function finishReplacing(folder: number, folderId: string, loser: TreeEntry, report: ReportTreeEvent): void {
  const { backingName, fileId } = loser;
  try {
    if (loser.type === fileType.directory) removeFolder(folder, backingName);
    else unlinkFile(folder, backingName);
    report({ kind: "entry-finished", folderId, fileId, backingName });
  } catch (error) {
    report({ kind: "entry-kept", folderId, fileId, backingName, detail: error instanceof Error ? error.message : "" });
  }
}

function typeOf(folder: number, listed: ListedEntry): number {
  return listed.type !== 0 ? listed.type : statusAt(folder, listed.name).mode & fileType.mask;
}
