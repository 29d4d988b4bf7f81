import type {
  AttributeChange,
  Attributes,
  Caller,
  DirectoryEntry,
  Entry,
  FileSystem,
  FileSystemSpace,
} from "../file-system.ts";
import { FsError } from "../fs-error.ts";
import { openFolder, readHeldSymlink, syncFolder, withReadable } from "../system/backing-folder.ts";
import { at, fileType, openFlags, systemCall } from "../system/calls.ts";
import { raiseDescriptorLimit } from "../system/descriptor-limit.ts";
import { spaceOf, syncFileSystem } from "../system/space.ts";
import { changeAttributes } from "./attribute-changes.ts";
import type { ContentStore } from "./content-store.ts";
import { finishExchange, tellOfExchange } from "./exchange-intent.ts";
import * as attributes from "./extended-attributes.ts";
import type { FileContent } from "./file-content.ts";
import { allocate, openForChanges, readEntries, seek } from "./handle-requests.ts";
import { Handles, opensForWriting } from "./handles.ts";
import { openLinkTarget } from "./link-targets.ts";
import { type MadeNode, makeFile, makeFolder, makeLink, makeSpecialFile, makeSymlink } from "./making.ts";
import { removeEmptyFolder, unlink } from "./removing.ts";
import { rename } from "./renaming.ts";
import type { ReportTreeEvent } from "./tree-events.ts";
import type { TreeKeys } from "./tree-keys.ts";
import type { TreeNode } from "./tree-node.ts";
import { TreeState } from "./tree-state.ts";

export interface SealedTreeOptions {
  /** Path of the folder that holds the root's entries, and nothing else. */
  readonly backingFolder: string;
  readonly keys: TreeKeys;
  readonly contents: ContentStore;
  readonly report: ReportTreeEvent;
  /** The session before did not end in good order: what a crash can leave half done is settled, and otherwise believed in no way. */
  readonly afterCrash: boolean;
  /** Nothing is changed: what a crash has left half done stays. @defaultValue `false` */
  readonly looksOnly?: boolean;
  /** The most descriptors to use; unless said, what the process may have, after its limit was raised as far as it may be. */
  readonly descriptors?: number;
}

/**
 * A file system in a folder of another one: same tree, but each entry's name is bound to its folder and file, and contents, link
 * targets and attributes are sealed. Nobody else may write the backing folder meanwhile. What is found wrong there answers EIO
 * and is reported. Modes, owners and times are those of the backing inodes.
 */
export class SealedTree implements FileSystem {
  readonly #state: TreeState;
  readonly #handles: Handles;
  #moves = 0;

  private constructor(state: TreeState) {
    this.#state = state;
    this.#handles = new Handles((node) => state.contents.of(node));
  }

  /**
   * Opens the tree, and finishes what a crash has cut short. Clears the process's umask, since the kernel has applied the
   * callers' own.
   *
   * @throws {FsError} When the folder cannot be opened; EIO when an exchange that was cut short cannot be finished.
   */
  static open(options: SealedTreeOptions): SealedTree {
    const { backingFolder, keys, report, afterCrash, looksOnly = false } = options;
    process.umask(0);
    const root = openFolder(at.currentFolder, Buffer.from(backingFolder).toString("latin1"));
    try {
      if (looksOnly) tellOfExchange(root, report);
      else finishExchange(keys, root, afterCrash, report);
      const descriptors = options.descriptors ?? raiseDescriptorLimit();
      return new SealedTree(new TreeState({ ...options, looksOnly, rootDescriptor: root, descriptors }));
    } catch (error) {
      systemCall("close", root);
      throw error;
    }
  }

  /** Commits and closes all files, whoever has them open. The tree is unusable afterwards. @throws {FsError} */
  close(): void {
    try {
      this.#state.closeAll();
    } finally {
      systemCall("close", this.#state.rootDescriptor);
    }
  }

  /** Rises when a file or folder gets another name or place: who walks the tree in pieces may have missed it. */
  get moves(): number {
    return this.#moves;
  }

  /** The content behind a handle, for work on its blocks. @throws {FsError} EBADF. */
  contentOf(handle: number): FileContent {
    return this.#handles.file(handle).content;
  }

  /** The contents that are open, those of removed files too. */
  *openContents(): Iterable<{ readonly zoneId: Buffer; readonly removed: boolean; readonly content: FileContent }> {
    for (const { zone, removed, content } of this.#state.nodes.all())
      if (content !== undefined) yield { zoneId: zone.zoneId, removed, content };
  }

  lookup(parent: number, name: string): Entry {
    const folder = this.#folder(parent);
    return this.#state.lookedUp(folder, name, this.#state.entry(folder, name));
  }

  forget(node: number, lookups: number): void {
    this.#state.nodes.forget(node, lookups);
  }

  getAttributes(node: number, _handle: number | undefined): Attributes {
    return this.#state.attributes(this.#node(node));
  }

  setAttributes(number: number, change: AttributeChange, handle: number | undefined): Attributes {
    const node = this.#node(number);
    if (handle !== undefined && node.isFile) this.#handles.file(handle);
    changeAttributes(this.#state, node, change);
    return this.#state.attributes(node);
  }

  readLink(number: number): Buffer {
    const node = this.#node(number);
    if (node.type !== fileType.symlink) throw new FsError("EINVAL");
    const sealed = this.#state.inodes.with(node, (place) => ("held" in place ? readHeldSymlink(place.held) : ""));
    const target = openLinkTarget(this.#state.keys, node.idBytes, sealed);
    if (target !== undefined) return target;
    this.#state.report({ kind: "content-damaged", fileId: node.id, detail: "a link's target" });
    throw new FsError("EIO", "a damaged link");
  }

  makeSymlink(parent: number, name: string, target: Buffer, caller: Caller): Entry {
    return this.#made(makeSymlink(this.#state, this.#folder(parent), name, target, caller));
  }

  makeNode(parent: number, name: string, mode: number, device: number, caller: Caller): Entry {
    const folder = this.#folder(parent);
    const type = mode & fileType.mask;
    if (type === fileType.regular || type === 0) {
      const inode = { mode: mode | fileType.regular, caller };
      return this.#made(makeFile(this.#state, folder, name, inode));
    }
    if (type === fileType.directory || type === fileType.symlink) throw new FsError("EINVAL");
    return this.#made(makeSpecialFile(this.#state, folder, name, { mode, caller }, device));
  }

  makeDirectory(parent: number, name: string, mode: number, caller: Caller): Entry {
    const inode = { mode: (mode & ~fileType.mask) | fileType.directory, caller };
    return this.#made(makeFolder(this.#state, this.#folder(parent), name, inode));
  }

  unlink(parent: number, name: string): void {
    unlink(this.#state, this.#folder(parent), name);
  }

  removeDirectory(parent: number, name: string): void {
    removeEmptyFolder(this.#state, this.#folder(parent), name);
  }

  rename(parent: number, name: string, newParent: number, newName: string, flags: number): void {
    const from = { folder: this.#folder(parent), name };
    this.#moves += 1;
    rename(this.#state, from, { folder: this.#state.nodes.folder(newParent), name: newName }, flags);
  }

  link(node: number, newParent: number, newName: string): Entry {
    const folder = this.#folder(newParent);
    this.#moves += 1;
    makeLink(this.#state, this.#state.nodes.get(node), folder, newName);
    return this.#state.lookedUp(folder, newName, this.#state.entry(folder, newName));
  }

  open(number: number, flags: number): number {
    const node = this.#node(number);
    if (node.isFolder) throw new FsError("EISDIR");
    if (!node.isFile) throw new FsError("ENXIO");
    const changes = opensForWriting(flags) || (flags & openFlags.truncate) !== 0;
    const content = changes ? openForChanges(this.#state, node, flags) : this.#state.contents.holdForReading(node);
    this.#state.nodes.hold(node);
    return this.#handles.addFile(node, content, flags);
  }

  create(parent: number, name: string, mode: number, flags: number, caller: Caller): Entry & { handle: number } {
    const folder = this.#folder(parent);
    const existing = this.#state.entryIfAny(folder, name);
    if (existing !== undefined && (flags & openFlags.exclusive) !== 0) throw new FsError("EEXIST");
    const inode = { mode: (mode & ~fileType.mask) | fileType.regular, caller };
    const entry =
      existing === undefined
        ? this.#made(makeFile(this.#state, folder, name, inode))
        : this.#state.lookedUp(folder, name, existing);
    try {
      return { ...entry, handle: this.open(entry.node, flags) };
    } catch (error) {
      this.forget(entry.node, 1);
      throw error;
    }
  }

  read(handle: number, offset: number, into: Buffer): number {
    const { content, readable } = this.#handles.file(handle);
    if (!readable) throw new FsError("EBADF", "a handle that is open for writing");
    return content.stored.read(offset, into);
  }

  write(handle: number, offset: number, bytes: Buffer): void {
    const { content } = this.#handles.writableFile(handle);
    content.touch();
    content.stored.write(offset, bytes);
  }

  flush(handle: number): void {
    this.#handles.file(handle).node.content?.commit();
  }

  release(handle: number): void {
    const { node } = this.#handles.file(handle);
    this.#handles.remove(handle);
    try {
      this.#state.contents.release(node);
    } finally {
      this.#state.nodes.release(node);
    }
  }

  sync(handle: number, dataOnly: boolean): void {
    this.#handles.file(handle).content.sync(!dataOnly);
  }

  allocate(handle: number, mode: number, offset: number, length: number): void {
    allocate(this.#handles.writableFile(handle).content, mode, offset, length);
  }

  /** `StoredFile.check` of an open file. */
  checkContent(handle: number): readonly string[] {
    return this.#handles.file(handle).content.stored.check();
  }

  seek(handle: number, offset: number, whence: number): number {
    return seek(this.#handles.file(handle).content.stored, offset, whence);
  }

  openDirectory(number: number): number {
    const folder = this.#folder(number);
    this.#state.nodes.hold(folder);
    return this.#handles.addFolder(folder);
  }

  readDirectory(handle: number, from: number, take: (entry: DirectoryEntry) => boolean): void {
    this.#state.trim();
    readEntries(this.#state, this.#handles.folder(handle), from, take);
  }

  releaseDirectory(handle: number): void {
    const { node } = this.#handles.folder(handle);
    this.#handles.remove(handle);
    this.#state.nodes.release(node);
  }

  syncDirectory(handle: number): void {
    const { node } = this.#handles.folder(handle);
    if (!node.removed) syncFolder(this.#state.folders.of(node));
  }

  space(_node: number): FileSystemSpace {
    return spaceOf(this.#state.rootDescriptor);
  }

  getExtendedAttribute(node: number, name: string): Buffer {
    return attributes.getExtendedAttribute(this.#state, this.#node(node), name);
  }

  listExtendedAttributes(node: number): readonly string[] {
    return attributes.listExtendedAttributes(this.#state, this.#node(node));
  }

  setExtendedAttribute(node: number, name: string, value: Buffer, flags: number): void {
    attributes.setExtendedAttribute(this.#state, this.#node(node), name, value, flags);
  }

  removeExtendedAttribute(node: number, name: string): void {
    attributes.removeExtendedAttribute(this.#state, this.#node(node), name);
  }

  syncAll(): void {
    let failure: unknown;
    try {
      this.commitAll();
    } catch (error) {
      failure = error;
    }
    withReadable(this.#state.rootDescriptor, syncFileSystem);
    this.markDurable();
    if (failure !== undefined) throw failure;
  }

  /** The keys of a zone are destroyed: what its open files have not committed is lost, and holds nothing up. */
  abandonZone(zoneId: Buffer): void {
    for (const { zone, content } of this.#state.nodes.all()) if (zone.zoneId.equals(zoneId)) content?.abandon();
  }

  /** True when a file has changes that are not committed. */
  get hasChanges(): boolean {
    for (const { content } of this.#state.nodes.all()) if (content?.changed) return true;
    return false;
  }

  /** Commits all files, not durably. @throws {FsError} When one cannot be; the others are committed all the same. */
  commitAll(): void {
    let failure: unknown;
    for (const { content } of this.#state.nodes.all())
      try {
        if (content?.changed) content.commit();
      } catch (error) {
        failure ??= error;
      }
    if (failure !== undefined) throw failure;
  }

  /** The caller has synced the whole store since the last commit. */
  markDurable(): void {
    for (const { content } of this.#state.nodes.all()) content?.stored.markDurable?.();
  }

  /** A new node's first lookup. */
  #made({ node, status }: MadeNode): Entry {
    node.lookups += 1;
    return { node: node.number, attributes: this.#state.attributesWith(node, status) };
  }

  /** The node of a request, which begins here. */
  #node(number: number): TreeNode {
    this.#state.trim();
    return this.#state.nodes.get(number);
  }

  #folder(number: number): TreeNode {
    this.#state.trim();
    return this.#state.nodes.folder(number);
  }
}
