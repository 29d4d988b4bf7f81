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
import { openFolder, readSymlink, syncFolder, withReadable } from "../system/backing-folder.ts";
import { at, fileType, openFlags, systemCall } from "../system/calls.ts";
import { spaceOf, syncFileSystem } from "../system/space.ts";
import { changeAttributes, truncate } from "./attribute-changes.ts";
import type { ContentStore } from "./content-store.ts";
import { finishExchange } from "./exchange-intent.ts";
import * as attributes from "./extended-attributes.ts";
import { allocate, readEntries, seek } from "./handle-requests.ts";
import { Handles, opensForWriting } from "./handles.ts";
import { openLinkTarget } from "./link-targets.ts";
import { makeFile, makeFolder, makeLink, makeSpecialFile, makeSymlink } from "./making.ts";
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
}

/**
 * A file system in a folder of another one: same tree, but each entry's name is bound to its folder and file, and contents, link
 * targets and attributes are sealed. Nobody else may write the backing folder meanwhile. What is found wrong there answers EIO
 * and is reported. Modes, owners and times are those of the backing inodes.
 */
export class SealedTree implements FileSystem {
  readonly #state: TreeState;
  readonly #handles = new Handles();

  private constructor(state: TreeState) {
    this.#state = state;
  }

  /**
   * Opens the tree, and finishes what a crash has cut short. Clears the process's umask, since the kernel has applied the
   * callers' own.
   *
   * @throws {FsError} When the folder cannot be opened; EIO when an exchange that was cut short cannot be finished.
   */
  static open({ backingFolder, keys, contents, report }: SealedTreeOptions): SealedTree {
    process.umask(0);
    const root = openFolder(at.currentFolder, Buffer.from(backingFolder).toString("latin1"));
    try {
      finishExchange(keys, root, report);
      return new SealedTree(new TreeState(keys, contents, root, report));
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

  lookup(parent: number, name: string): Entry {
    const folder = this.#folder(parent);
    return this.#state.lookedUp(folder, this.#state.entry(folder, name));
  }

  forget(node: number, lookups: number): void {
    this.#state.nodes.forget(node, lookups);
  }

  getAttributes(node: number, _handle: number | undefined): Attributes {
    return this.#state.attributes(this.#node(node));
  }

  setAttributes(number: number, change: AttributeChange, handle: number | undefined): Attributes {
    const node = this.#node(number);
    const content = handle === undefined || !node.isFile ? undefined : this.#handles.file(handle).content;
    changeAttributes(this.#state, node, change, content);
    return this.#state.attributes(node);
  }

  readLink(number: number): Buffer {
    const node = this.#node(number);
    if (node.type !== fileType.symlink) throw new FsError("EINVAL");
    const place = this.#state.placeOf(node);
    if ("descriptor" in place) throw new FsError("EINVAL");
    const target = openLinkTarget(this.#state.keys, node.idBytes, readSymlink(place.folder, place.name));
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
    rename(this.#state, from, { folder: this.#state.nodes.folder(newParent), name: newName }, flags);
  }

  link(node: number, newParent: number, newName: string): Entry {
    const folder = this.#folder(newParent);
    const entry = makeLink(this.#state, this.#state.nodes.get(node), folder, newName);
    return this.#state.lookedUp(folder, entry);
  }

  open(number: number, flags: number): number {
    const node = this.#node(number);
    if (node.isFolder) throw new FsError("EISDIR");
    if (!node.isFile) throw new FsError("ENXIO");
    const content = this.#state.contents.hold(node);
    try {
      if (content.file.readOnly && opensForWriting(flags)) throw new FsError("EROFS");
      if ((flags & openFlags.truncate) !== 0) truncate(this.#state, node, 0, content);
    } catch (error) {
      this.#state.contents.release(node);
      throw error;
    }
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
        : this.#state.lookedUp(folder, existing);
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
    this.#handles.file(handle).content.commit();
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
    for (const { content } of this.#state.nodes.all()) if (content?.changed) content.sync(false);
    withReadable(this.#state.rootDescriptor, syncFileSystem);
  }

  /** A new node's first lookup. */
  #made(node: TreeNode): Entry {
    node.lookups += 1;
    return { node: node.number, attributes: this.#state.attributes(node) };
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
