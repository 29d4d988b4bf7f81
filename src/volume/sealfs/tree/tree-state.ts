import type { Attributes, Entry } from "../file-system.ts";
import { FsError } from "../fs-error.ts";
import { fileType } from "../system/calls.ts";
import { type FileStatus, statusAt } from "../system/file-status.ts";
import { type InodePlace, statusOfInode } from "../system/inode.ts";
import type { ContentStore } from "./content-store.ts";
import { EntryNames } from "./entry-names.ts";
import { FolderDescriptors } from "./folder-descriptors.ts";
import { type FolderIndex, readFolderIndex, type TreeEntry } from "./folder-index.ts";
import { linkTargetBytes } from "./link-targets.ts";
import { NodeTable } from "./node-table.ts";
import { OpenContents } from "./open-contents.ts";
import { Sidecars } from "./sidecars.ts";
import type { ReportTreeEvent } from "./tree-events.ts";
import type { TreeKeys, TreeZone } from "./tree-keys.ts";
import type { TreeNode } from "./tree-node.ts";

const longestNameBytes = 255;
const mostIndexedEntries = 1_000_000;

/** What all requests work on: the nodes in use, the folders' indexes, the open contents; and how an entry becomes a node. */
export class TreeState {
  readonly keys: TreeKeys;
  readonly names: EntryNames;
  readonly sidecars: Sidecars;
  readonly report: ReportTreeEvent;
  readonly rootDescriptor: number;
  readonly nodes: NodeTable;
  readonly folders: FolderDescriptors;
  readonly contents: OpenContents;
  /** Folders with an index in memory, the one used least lately first. */
  readonly #indexed = new Set<TreeNode>();

  constructor(keys: TreeKeys, contents: ContentStore, rootDescriptor: number, report: ReportTreeEvent) {
    this.keys = keys;
    this.names = new EntryNames(keys);
    this.sidecars = new Sidecars(this.names);
    this.report = report;
    this.rootDescriptor = rootDescriptor;
    this.nodes = new NodeTable(keys, statusAt(rootDescriptor, ".").inode, (node) => this.#close(node));
    this.folders = new FolderDescriptors(this.nodes.root, rootDescriptor, report);
    this.contents = new OpenContents(contents, this.folders, report);
  }

  /** Between requests: closes and drops what is over the limits. */
  trim(): void {
    this.folders.trim();
    this.contents.trim();
    let entries = 0;
    if (this.#indexed.size > 1) for (const folder of this.#indexed) entries += folder.index?.entries.size ?? 0;
    for (const folder of this.#indexed) {
      if (entries <= mostIndexedEntries || this.#indexed.size === 1) return;
      entries -= folder.index?.entries.size ?? 0;
      this.#dropIndex(folder);
    }
  }

  /** What a folder holds. @throws {FsError} */
  indexOf(folder: TreeNode): FolderIndex {
    if (folder.index !== undefined) return folder.index;
    const { idBytes: id, zone } = folder;
    const place = { descriptor: this.folders.of(folder), id, zoneId: zone.zoneId };
    folder.index = readFolderIndex(place, this.names, this.sidecars, this.report);
    this.#indexed.add(folder);
    return folder.index;
  }

  /** @throws {FsError} ENOENT; EIO when the entry of this name is damaged; ENAMETOOLONG, EINVAL for what is no name. */
  entry(folder: TreeNode, name: string): TreeEntry {
    const entry = this.entryIfAny(folder, name);
    if (entry === undefined) throw new FsError("ENOENT");
    return entry;
  }

  /** As {@link entry}, or undefined when there is none. */
  entryIfAny(folder: TreeNode, name: string): TreeEntry | undefined {
    requireName(name);
    const index = this.indexOf(folder);
    const entry = index.entries.get(name);
    if (entry === undefined && index.damaged.size > 0 && index.damaged.has(this.names.shown(folder.idBytes, name)))
      throw new FsError("EIO", "a damaged entry");
    return entry;
  }

  /** The node of an entry, new or known. The caller looks it up or holds it at once. @throws {FsError} */
  nodeOf(folder: TreeNode, entry: TreeEntry): TreeNode {
    const status = this.#statusOfEntry(folder, entry);
    const known = this.nodes.known(entry.fileId);
    if (known === undefined) return this.nodes.add({ folder, entry }, status.inode, this.#zoneOf(folder, entry));
    if (known.inode !== status.inode || known.type !== (status.mode & fileType.mask)) {
      this.report({
        kind: "inode-replaced",
        fileId: entry.fileId,
        folderId: folder.id,
        backingName: entry.backingName,
      });
      throw new FsError("EIO", "an entry that leads to another file than before");
    }
    this.nodes.addPlace(known, { folder, entry });
    return known;
  }

  /** Where the inode of a node is reached. @throws {FsError} ESTALE when no name and no descriptor leads to it. */
  placeOf(node: TreeNode): InodePlace {
    if (node === this.nodes.root) return { folder: this.rootDescriptor, name: "." };
    if (node.content !== undefined) return { descriptor: node.content.file.descriptor };
    const place = node.places[0];
    if (place === undefined) throw new FsError("ESTALE", "a node that no name leads to");
    return { folder: this.folders.of(place.folder), name: place.entry.backingName };
  }

  /** @throws {FsError} */
  attributes(node: TreeNode): Attributes {
    const nameless = node !== this.nodes.root && node.places.length === 0 && node.content === undefined;
    if (nameless && node.lastStatus === undefined) throw new FsError("ESTALE", "a node that no name leads to");
    const status = nameless && node.lastStatus !== undefined ? node.lastStatus : statusOfInode(this.placeOf(node));
    const { inode, accessedNs, changedNs, mode, links, uid, gid, device } = status;
    const modifiedNs = node.content?.modifiedNs ?? status.modifiedNs;
    const common = { inode, accessedNs, modifiedNs, changedNs, mode, links, uid, gid, device };
    if (node.type === fileType.symlink) return { ...common, size: linkTargetBytes(status.size), blocks: status.blocks };
    if (!node.isFile) return { ...common, size: status.size, blocks: status.blocks };
    const size = this.#sizeOf(node, status);
    return { ...common, size: size.bytes, blocks: Math.ceil(size.allocatedBytes / 512) };
  }

  /** Answers a lookup, which counts. @throws {FsError} */
  lookedUp(folder: TreeNode, entry: TreeEntry): Entry {
    const node = this.nodeOf(folder, entry);
    node.lookups += 1;
    try {
      return { node: node.number, attributes: this.attributes(node) };
    } catch (error) {
      this.nodes.forget(node.number, 1);
      throw error;
    }
  }

  /** A folder has one more entry, or another one under a name. */
  insert(folder: TreeNode, entry: TreeEntry): void {
    this.indexOf(folder).entries.set(entry.name, entry);
  }

  /** A node is removed: what is kept of it by folder goes. */
  closeFolder(node: TreeNode): void {
    this.#dropIndex(node);
    this.folders.close(node);
  }

  /** Closes every content and descriptor. @throws {FsError} The first failure, after all was closed. */
  closeAll(): void {
    let failure: unknown;
    for (const node of this.nodes.all())
      try {
        this.contents.close(node);
      } catch (error) {
        failure ??= error;
      }
    this.folders.closeAll();
    if (failure !== undefined) throw failure;
  }

  #zoneOf(folder: TreeNode, entry: TreeEntry): TreeZone {
    return entry.type === fileType.directory ? this.keys.zoneOf([...folder.path(), entry.name]) : folder.zone;
  }

  #statusOfEntry(folder: TreeNode, entry: TreeEntry): FileStatus {
    const { backingName, fileId } = entry;
    let status: FileStatus;
    try {
      status = statusAt(this.folders.of(folder), backingName);
    } catch (error) {
      if (!(error instanceof FsError) || error.code !== "ENOENT") throw error;
      this.report({ kind: "entry-missing", folderId: folder.id, fileId, backingName });
      throw new FsError("EIO", "an entry that vanished");
    }
    if ((status.mode & fileType.mask) === entry.type) return status;
    this.report({ kind: "inode-replaced", folderId: folder.id, fileId, backingName });
    throw new FsError("EIO", "an entry that became another type of file");
  }

  /** A file that cannot be opened can still be looked at, and so removed; it shows the size of its backing file. */
  #sizeOf(node: TreeNode, status: FileStatus): { readonly bytes: number; readonly allocatedBytes: number } {
    if (node.content === undefined && node.knownSize !== undefined) return node.knownSize;
    try {
      const { size, allocatedBytes } = (node.content ?? this.contents.of(node)).stored;
      return { bytes: size, allocatedBytes };
    } catch (error) {
      if (!(error instanceof FsError) || (error.code !== "EIO" && error.code !== "ENOKEY")) throw error;
      return { bytes: status.size, allocatedBytes: status.blocks * 512 };
    }
  }

  #dropIndex(folder: TreeNode): void {
    folder.index = undefined;
    this.#indexed.delete(folder);
  }

  #close(node: TreeNode): void {
    this.closeFolder(node);
    this.contents.closeIdle(node);
  }
}

function requireName(name: string): void {
  if (name.length > longestNameBytes) throw new FsError("ENAMETOOLONG");
  if (name === "" || name === "." || name === ".." || name.includes("/") || name.includes("\0"))
    throw new FsError("EINVAL", "not a name");
}
