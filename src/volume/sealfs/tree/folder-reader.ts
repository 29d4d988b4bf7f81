import { type ListedEntry, listFolder, removeFolder, unlinkFile } from "../system/backing-folder.ts";
import { fileType } from "../system/calls.ts";
import { statusAt } from "../system/file-status.ts";
import type { EntryNames } from "./entry-names.ts";
import { FolderIndex } from "./folder-index.ts";
import { readFolderMark } from "./folder-mark.ts";
import type { Sequences } from "./sequences.ts";
import { removeIfThere, type Sidecars } from "./sidecars.ts";
import { TreeEntry } from "./tree-entry.ts";
import type { ReportTreeEvent } from "./tree-events.ts";
import type { TreeNode } from "./tree-node.ts";

/** What folders are read with. */
export interface FolderReading {
  readonly names: EntryNames;
  readonly sidecars: Sidecars;
  readonly sequences: Sequences;
  readonly report: ReportTreeEvent;
  /** True where an entry that was replaced may have been left: after a crash, or when it could not be removed in this session. */
  readonly settles: (entry: TreeEntry) => boolean;
  /** Nothing is removed. */
  readonly looksOnly: boolean;
  readonly descriptorOf: (folder: TreeNode) => number;
}

/**
 * Reads folders. A large one is read at once but its entries are verified when they are asked for: {@link verify}. Of each folder
 * at least one entry is verified, so that a folder in another's place is known.
 */
export class FolderReader {
  readonly #with: FolderReading;

  constructor(reading: FolderReading) {
    this.#with = reading;
  }

  /**
   * After a crash, of two entries with one name the one of the lower sequence is removed, since it was replaced; otherwise neither
   * is believed. Sidecars without an entry are removed.
   *
   * @param isRoot - Its folder has no mark.
   * @throws {FsError} When the folder cannot be listed.
   */
  read(folder: TreeNode, isRoot: boolean): FolderIndex {
    const { names, report } = this.#with;
    const index = new FolderIndex();
    const descriptor = this.#with.descriptorOf(folder);
    const mark = isRoot ? "absent" : readFolderMark(names, { held: descriptor }, folder.idBytes);
    if (mark === "wrong") {
      index.foreign = true;
      report({ kind: "folder-replaced", folderId: folder.id });
      return index;
    }
    const sidecarsSeen: string[] = [];
    const repeated: TreeEntry[] = [];
    for (const listed of listFolder(descriptor)) {
      if (!names.isEntry(listed.name)) {
        this.#notAnEntry(folder, descriptor, listed.name, index, sidecarsSeen);
        continue;
      }
      const entry = new TreeEntry(listed.name, typeOf(descriptor, listed), listed.inode, false);
      if (index.get(entry.shown) === undefined) index.set(entry);
      else repeated.push(entry);
    }
    for (const entry of repeated) this.#settle(folder, descriptor, index, entry);
    this.#requireOwn(folder, index);
    if (this.#with.looksOnly) return index;
    for (const shown of sidecarsSeen)
      if (index.get(shown) === undefined && !index.damaged.has(shown) && !index.foreign)
        removeIfThere(descriptor, names.sidecarName(shown));
    return index;
  }

  /** Whether an entry is bound to its folder, and its name can be told; if not it is reported, and damaged from now on. */
  verify(folder: TreeNode, index: FolderIndex, entry: TreeEntry): boolean {
    if (entry.verified) return true;
    const { names } = this.#with;
    if (!names.verify(folder.idBytes, folder.zone.zoneId, entry.type, entry.backingName))
      return this.#damaged("entry-damaged", folder, index, entry);
    if (names.isHashed(entry.backingName) && this.#longName(folder, entry) === undefined)
      return this.#damaged("name-damaged", folder, index, entry);
    entry.verified = true;
    this.#with.sequences.seen(entry.sequence);
    return true;
  }

  /** The name of a verified entry; undefined, reported, when it cannot be told (any more). */
  nameOf(folder: TreeNode, index: FolderIndex, entry: TreeEntry): string | undefined {
    const { names } = this.#with;
    const name = names.isHashed(entry.backingName)
      ? this.#longName(folder, entry)
      : names.name(folder.idBytes, entry.shown);
    if (name === undefined) this.#damaged("name-damaged", folder, index, entry);
    return name;
  }

  #longName(folder: TreeNode, entry: TreeEntry): string | undefined {
    return this.#with.sidecars.read(this.#with.descriptorOf(folder), folder.idBytes, entry.shown);
  }

  /** Verifies the latest entry, and all if that is none of this folder: where not one is, the folder is another. */
  #requireOwn(folder: TreeNode, index: FolderIndex): void {
    const entries = index.entries();
    let latest = entries[0];
    if (latest === undefined) return;
    let highest = latest.sequence;
    for (const entry of entries) {
      const { sequence } = entry;
      if (sequence > highest) [latest, highest] = [entry, sequence];
    }
    if (this.verify(folder, index, latest)) return;
    for (const entry of entries) if (entry !== latest) this.verify(folder, index, entry);
    if (index.size > 0) return;
    index.foreign = true;
    this.#with.report({ kind: "folder-replaced", folderId: folder.id });
  }

  #notAnEntry(folder: TreeNode, descriptor: number, backingName: string, index: FolderIndex, sidecars: string[]): void {
    const sidecar = this.#with.names.sidecarOf(backingName);
    if (sidecar === "begun") {
      if (!this.#with.looksOnly) removeIfThere(descriptor, backingName);
    } else if (sidecar !== undefined) sidecars.push(sidecar);
    else {
      index.strays += 1;
      this.#with.report({ kind: "stray-file", folderId: folder.id, backingName });
    }
  }

  /** Two entries show one name. What is damaged takes nothing from the other. */
  #settle(folder: TreeNode, descriptor: number, index: FolderIndex, entry: TreeEntry): void {
    if (!this.verify(folder, index, entry)) return;
    const other = index.get(entry.shown);
    if (other === undefined || !this.verify(folder, index, other)) {
      if (!index.damaged.has(entry.shown) || other !== undefined) index.set(entry);
      return;
    }
    const [winner, loser] = other.sequence > entry.sequence ? [other, entry] : [entry, other];
    if (winner.sequence === loser.sequence || !this.#with.settles(loser)) {
      this.#damaged("entry-repeated", folder, index, other);
      return;
    }
    index.set(winner);
    if (!this.#with.looksOnly) this.#finishReplacing(folder, descriptor, loser);
  }

  #finishReplacing(folder: TreeNode, descriptor: number, { backingName, fileId, type }: TreeEntry): void {
    const facts = { folderId: folder.id, fileId, backingName };
    try {
      if (type === fileType.directory) removeFolder(descriptor, backingName);
      else unlinkFile(descriptor, backingName);
      this.#with.report({ kind: "entry-finished", ...facts });
    } catch (error) {
      this.#with.report({ kind: "entry-kept", ...facts, detail: error instanceof Error ? error.message : "" });
    }
  }

  #damaged(
    kind: "entry-damaged" | "name-damaged" | "entry-repeated",
    folder: TreeNode,
    index: FolderIndex,
    entry: TreeEntry,
  ): false {
    index.markDamaged(entry);
    const { fileId, backingName } = entry;
    this.#with.report({ kind, folderId: folder.id, fileId, backingName });
    return false;
  }
}

function typeOf(folder: number, listed: ListedEntry): number {
  return listed.type !== 0 ? listed.type : statusAt(folder, listed.name).mode & fileType.mask;
}
