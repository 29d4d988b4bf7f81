import type { Attributes, Entry } from "../file-system.ts";
import { FsError } from "../fs-error.ts";
import { fileType } from "../system/calls.ts";
import { type FileStatus, statusAt } from "../system/file-status.ts";
import type { ContentStore } from "./content-store.ts";
import { DescriptorBudget } from "./descriptor-budget.ts";
import { EntryNames } from "./entry-names.ts";
import { FolderDescriptors } from "./folder-descriptors.ts";
import type { FolderIndex } from "./folder-index.ts";
import { FolderIndexes } from "./folder-indexes.ts";
import { FolderReader } from "./folder-reader.ts";
import { InodeAccess } from "./inode-access.ts";
import { linkTargetBytes } from "./link-targets.ts";
import { NodeTable } from "./node-table.ts";
import { OpenContents } from "./open-contents.ts";
import { Sequences } from "./sequences.ts";
import { Sidecars } from "./sidecars.ts";
import type { TreeEntry } from "./tree-entry.ts";
import type { ReportTreeEvent } from "./tree-events.ts";
import { deepestZone, type TreeKeys, type TreeZone } from "./tree-keys.ts";
import type { TreeNode } from "./tree-node.ts";

const longestNameBytes = 255;

export interface TreeStateOptions {
  readonly keys: TreeKeys;
  readonly contents: ContentStore;
  readonly rootDescriptor: number;
  readonly report: ReportTreeEvent;
  /** The session before was not ended in good order: what it left half done is settled. */
  readonly afterCrash: boolean;
  /** Nothing is changed in the backing folder. */
  readonly looksOnly: boolean;
  /** The most that is open at a time. */
  readonly descriptors: number;
}

/** What all requests work on: the nodes in use, the folders' indexes, the open contents; and how an entry becomes a node. */
export class TreeState {
  readonly keys: TreeKeys;
  readonly names: EntryNames;
  readonly sidecars: Sidecars;
  readonly sequences = new Sequences();
  readonly report: ReportTreeEvent;
  readonly rootDescriptor: number;
  readonly nodes: NodeTable;
  readonly folders: FolderDescriptors;
  readonly indexes: FolderIndexes;
  readonly contents: OpenContents;
  readonly inodes: InodeAccess;
  /** Backing names of replaced entries that could not be removed in this session. */
  readonly leftovers = new Set<string>();

  constructor({ keys, contents, rootDescriptor, report, afterCrash, looksOnly, descriptors }: TreeStateOptions) {
    this.keys = keys;
    this.names = new EntryNames(keys);
    this.sidecars = new Sidecars(this.names);
    this.report = report;
    this.rootDescriptor = rootDescriptor;
    const budget = new DescriptorBudget(descriptors);
    this.nodes = new NodeTable(keys, statusAt(rootDescriptor, ".").inode, (node) => this.#close(node));
    const { root } = this.nodes;
    this.folders = new FolderDescriptors(root, rootDescriptor, report, budget.folders);
    const settles = (entry: TreeEntry) => afterCrash || this.leftovers.has(entry.backingName);
    const descriptorOf = (folder: TreeNode) => this.folders.of(folder);
    const { names, sidecars, sequences } = this;
    const reader = new FolderReader({ names, sidecars, sequences, report, settles, looksOnly, descriptorOf });
    this.indexes = new FolderIndexes(reader, root);
    this.inodes = new InodeAccess(root, rootDescriptor, this.folders, report);
    this.contents = new OpenContents(contents, this.folders, this.inodes, budget, report);
  }

  /** Between requests: closes and drops what is over the limits. */
  trim(): void {
    this.folders.trim();
    this.contents.trim();
    this.indexes.trim();
  }

  /** What a folder holds. @throws {FsError} EIO when it is another's. */
  indexOf(folder: TreeNode): FolderIndex {
    const index = this.indexes.of(folder);
    if (index.foreign) throw new FsError("EIO", "a folder in another's place");
    return index;
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
    const shown = this.names.shown(folder.idBytes, name);
    const entry = index.get(shown);
    if (entry === undefined ? index.damaged.has(shown) : !this.indexes.verify(folder, index, entry))
      throw new FsError("EIO", "a damaged entry");
    return entry;
  }

  /** The node of an entry, new or known. The caller looks it up or holds it at once. @throws {FsError} */
  nodeOf(folder: TreeNode, name: string, entry: TreeEntry): TreeNode {
    return this.#nodeWith(folder, name, entry, this.#statusOfEntry(folder, entry));
  }

  /** @throws {FsError} */
  attributes(node: TreeNode): Attributes {
    if (this.inodes.isReachable(node)) return this.attributesWith(node, this.inodes.status(node));
    if (node.lastStatus === undefined) throw new FsError("ESTALE", "a node that no name leads to");
    return this.attributesWith(node, node.lastStatus);
  }

  /** The attributes of a node whose inode's status is this. @throws {FsError} */
  attributesWith(node: TreeNode, status: FileStatus): Attributes {
    const { inode, accessedNs, mode, links, uid, gid, device } = status;
    const modifiedNs = node.content?.modifiedNs ?? status.modifiedNs;
    const ownNs = node.content?.changedNs ?? status.changedNs;
    const changedNs = ownNs > status.changedNs ? ownNs : status.changedNs;
    const common = { inode, accessedNs, modifiedNs, changedNs, mode, links, uid, gid, device };
    if (node.type === fileType.symlink) return { ...common, size: linkTargetBytes(status.size), blocks: status.blocks };
    if (!node.isFile) return { ...common, size: status.size, blocks: status.blocks };
    const size = this.#sizeOf(node, status);
    return { ...common, size: size.bytes, blocks: Math.ceil(size.allocatedBytes / 512) };
  }

  /** Answers a lookup, which counts. @throws {FsError} */
  lookedUp(folder: TreeNode, name: string, entry: TreeEntry): Entry {
    const status = this.#statusOfEntry(folder, entry);
    const node = this.#nodeWith(folder, name, entry, status);
    node.lookups += 1;
    try {
      return { node: node.number, attributes: this.attributesWith(node, status) };
    } catch (error) {
      this.nodes.forget(node.number, 1);
      throw error;
    }
  }

  /** A node is removed: what is kept of it by folder goes. */
  closeFolder(node: TreeNode): void {
    this.indexes.drop(node);
    this.folders.close(node);
  }

  /** Closes every content and descriptor. @throws {FsError} The first failure, after all was closed. */
  closeAll(): void {
    let failure: unknown;
    for (const node of this.nodes.all())
      try {
        this.contents.dropHold(node);
        this.contents.close(node);
      } catch (error) {
        failure ??= error;
      }
    this.folders.closeAll();
    if (failure !== undefined) throw failure;
  }

  #nodeWith(folder: TreeNode, name: string, entry: TreeEntry, status: FileStatus): TreeNode {
    const known = this.nodes.known(entry.fileId);
    if (known === undefined)
      return this.nodes.add({ folder, entry }, name, status.inode, this.#zoneOf(folder, name, entry));
    this.inodes.requireSame(known, status);
    this.nodes.addPlace(known, { folder, entry });
    return known;
  }

  /** No folder so deep has a zone of its own: it lies in that of the folder above. */
  #zoneOf(folder: TreeNode, name: string, entry: TreeEntry): TreeZone {
    if (entry.type !== fileType.directory) return folder.zone;
    const above = folder.path(deepestZone - 1);
    return above === undefined ? folder.zone : this.keys.zoneOf([...above, name]);
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
      const read = node.content === undefined ? this.contents.readSize(node) : undefined;
      if (read !== undefined) return read;
      const { size, allocatedBytes } = (node.content ?? this.contents.of(node)).stored;
      return { bytes: size, allocatedBytes };
    } catch (error) {
      if (!(error instanceof FsError) || (error.code !== "EIO" && error.code !== "ENOKEY")) throw error;
      return { bytes: status.size, allocatedBytes: status.blocks * 512 };
    }
  }

  #close(node: TreeNode): void {
    this.closeFolder(node);
    this.contents.closeIdle(node);
    this.contents.dropHold(node);
  }
}

function requireName(name: string): void {
  if (name.length > longestNameBytes) throw new FsError("ENAMETOOLONG");
  if (name === "" || name === "." || name === ".." || name.includes("/") || name.includes("\0"))
    throw new FsError("EINVAL", "not a name");
}
