import type {
  AttributeChange,
  Attributes,
  Caller,
  DirectoryEntry,
  Entry,
  FileSystem,
  FileSystemSpace,
} from "../../../src/volume/sealfs/file-system.ts";
import { renameFlags } from "../../../src/volume/sealfs/file-system.ts";
import { FsError } from "../../../src/volume/sealfs/fs-error.ts";
import { MemoryNode, nowNs, typeOf } from "./memory-node.ts";

const openTruncates = 0o1000;
const openNoAtime = 0o1000000;
const keepSize = 1;
const punchHole = 2;
const zeroRange = 16;
const seekData = 3;

interface OpenNode {
  readonly node: MemoryNode;
  readonly flags: number;
}

/** A complete file system in memory with the behaviour of tmpfs: what the kernel protocol is tested with. */
export class MemoryFileSystem implements FileSystem {
  readonly #nodes = new Map<number, MemoryNode>();
  readonly #handles = new Map<number, OpenNode>();
  readonly #root: MemoryNode;
  #lastNumber = 0;
  #lastHandle = 0;

  constructor(uid = 0, gid = 0) {
    this.#root = this.#make(typeOf.folder | 0o755, uid, gid, 0);
    this.#root.links = 2;
    this.#root.parent = this.#root;
    this.#root.lookups = 1;
  }

  /** How many nodes are kept: for leaks. */
  get nodeCount(): number {
    return this.#nodes.size;
  }

  get handleCount(): number {
    return this.#handles.size;
  }

  #make(mode: number, uid: number, gid: number, device: number): MemoryNode {
    this.#lastNumber += 1;
    const node = new MemoryNode(this.#lastNumber, mode, uid, gid, device);
    this.#nodes.set(node.number, node);
    return node;
  }

  #node(number: number): MemoryNode {
    const node = this.#nodes.get(number);
    if (node === undefined) throw new FsError("ESTALE");
    return node;
  }

  #folder(number: number): MemoryNode {
    const node = this.#node(number);
    if (!node.isFolder) throw new FsError("ENOTDIR");
    return node;
  }

  #child(folder: MemoryNode, name: string): MemoryNode {
    const found = folder.entries.get(name);
    if (found === undefined) throw new FsError("ENOENT");
    return found.node;
  }

  #open(node: MemoryNode, flags: number): number {
    this.#lastHandle += 1;
    this.#handles.set(this.#lastHandle, { node, flags });
    return this.#lastHandle;
  }

  #opened(handle: number): MemoryNode {
    const open = this.#handles.get(handle);
    if (open === undefined) throw new FsError("EBADF");
    return open.node;
  }

  /** Nodes without a name, a lookup and a handle are gone. */
  #dropIfUnused(node: MemoryNode): void {
    if (node.links > 0 || node.lookups > 0) return;
    for (const open of this.#handles.values()) if (open.node === node) return;
    this.#nodes.delete(node.number);
  }

  #entry(node: MemoryNode): Entry {
    node.lookups += 1;
    return { node: node.number, attributes: node.attributes };
  }

  lookup(parent: number, name: string): Entry {
    return this.#entry(this.#child(this.#folder(parent), name));
  }

  forget(node: number, lookups: number): void {
    const found = this.#nodes.get(node);
    if (found === undefined || found === this.#root) return;
    found.lookups = Math.max(0, found.lookups - lookups);
    this.#dropIfUnused(found);
  }

  getAttributes(node: number): Attributes {
    return this.#node(node).attributes;
  }

  setAttributes(node: number, change: AttributeChange): Attributes {
    const found = this.#node(node);
    found.change(change);
    return found.attributes;
  }

  readLink(node: number): Buffer {
    const found = this.#node(node);
    if ((found.mode & typeOf.mask) !== typeOf.link) throw new FsError("EINVAL");
    return found.target;
  }

  #add(parent: number, name: string, mode: number, device: number, caller: Caller): MemoryNode {
    const folder = this.#folder(parent);
    if (folder.links === 0) throw new FsError("ENOENT");
    if (folder.entries.has(name)) throw new FsError("EEXIST");
    const node = this.#make(mode, caller.uid, folder.groupOfNew(caller.gid), device);
    folder.add(name, node);
    return node;
  }

  makeSymlink(parent: number, name: string, target: Buffer, caller: Caller): Entry {
    const node = this.#add(parent, name, typeOf.link | 0o777, 0, caller);
    node.target = Buffer.from(target);
    return this.#entry(node);
  }

  makeNode(parent: number, name: string, mode: number, device: number, caller: Caller): Entry {
    return this.#entry(this.#add(parent, name, mode, device, caller));
  }

  makeDirectory(parent: number, name: string, mode: number, caller: Caller): Entry {
    const folder = this.#folder(parent);
    const node = this.#add(parent, name, typeOf.folder | mode | (folder.mode & 0o2000), 0, caller);
    node.links = 2;
    node.parent = folder;
    folder.links += 1;
    return this.#entry(node);
  }

  unlink(parent: number, name: string): void {
    const folder = this.#folder(parent);
    const node = this.#child(folder, name);
    if (node.isFolder) throw new FsError("EISDIR");
    folder.remove(name);
    this.#unlinked(node);
  }

  #unlinked(node: MemoryNode): void {
    node.links -= 1;
    node.changed();
    this.#dropIfUnused(node);
  }

  removeDirectory(parent: number, name: string): void {
    const folder = this.#folder(parent);
    const node = this.#child(folder, name);
    if (!node.isFolder) throw new FsError("ENOTDIR");
    if (node.entries.size > 0) throw new FsError("ENOTEMPTY");
    folder.remove(name);
    this.#removed(node);
  }

  #removed(node: MemoryNode): void {
    if (node.parent !== undefined) node.parent.links -= 1;
    node.links = 0;
    this.#dropIfUnused(node);
  }

  rename(parent: number, name: string, newParent: number, newName: string, flags: number): void {
    const [from, to] = [this.#folder(parent), this.#folder(newParent)];
    const node = this.#child(from, name);
    const target = to.entries.get(newName)?.node;
    for (let above: MemoryNode | undefined = to; above !== this.#root; above = above?.parent)
      if (above === node || above === undefined) throw new FsError("EINVAL");
    if ((flags & renameFlags.exchange) !== 0) {
      if (target === undefined) throw new FsError("ENOENT");
      for (let above: MemoryNode | undefined = from; above !== this.#root; above = above?.parent)
        if (above === target || above === undefined) throw new FsError("EINVAL");
      this.#move(node, to, newName);
      this.#move(target, from, name);
      from.touch();
      return;
    }
    if (target !== undefined) {
      if ((flags & renameFlags.noReplace) !== 0) throw new FsError("EEXIST");
      if (target === node) return;
      if (target.isFolder && !node.isFolder) throw new FsError("EISDIR");
      if (!target.isFolder && node.isFolder) throw new FsError("ENOTDIR");
      if (target.entries.size > 0) throw new FsError("ENOTEMPTY");
      to.remove(newName);
      if (target.isFolder) this.#removed(target);
      else this.#unlinked(target);
    }
    from.remove(name);
    this.#move(node, to, newName);
  }

  #move(node: MemoryNode, to: MemoryNode, name: string): void {
    if (node.isFolder && node.parent !== undefined) {
      node.parent.links -= 1;
      to.links += 1;
      node.parent = to;
    }
    to.add(name, node);
    node.changed();
  }

  link(node: number, newParent: number, newName: string): Entry {
    const [found, folder] = [this.#node(node), this.#folder(newParent)];
    if (found.isFolder) throw new FsError("EPERM");
    if (found.links === 0 || folder.links === 0) throw new FsError("ENOENT");
    if (folder.entries.has(newName)) throw new FsError("EEXIST");
    folder.add(newName, found);
    found.links += 1;
    found.changed();
    return this.#entry(found);
  }

  open(node: number, flags: number): number {
    const found = this.#node(node);
    if (found.isFolder) throw new FsError("EISDIR");
    if ((flags & openTruncates) !== 0) {
      found.content.truncate(0);
      found.touch();
    }
    return this.#open(found, flags);
  }

  create(parent: number, name: string, mode: number, flags: number, caller: Caller): Entry & { handle: number } {
    const node = this.#add(parent, name, mode, 0, caller);
    return { ...this.#entry(node), handle: this.#open(node, flags) };
  }

  read(handle: number, offset: number, into: Buffer): number {
    const node = this.#opened(handle);
    if (((this.#handles.get(handle)?.flags ?? 0) & openNoAtime) === 0) node.accessedNs = nowNs();
    return node.content.read(offset, into);
  }

  write(handle: number, offset: number, bytes: Buffer): void {
    const node = this.#opened(handle);
    node.content.write(offset, bytes);
    node.touch();
  }

  flush(handle: number): void {
    this.#opened(handle);
  }

  release(handle: number): void {
    const node = this.#opened(handle);
    this.#handles.delete(handle);
    this.#dropIfUnused(node);
  }

  sync(handle: number): void {
    this.#opened(handle);
  }

  allocate(handle: number, mode: number, offset: number, length: number): void {
    const node = this.#opened(handle);
    if ((mode & punchHole) !== 0) node.content.punch(offset, length);
    else if ((mode & zeroRange) !== 0) {
      node.content.punch(offset, length);
      node.content.allocate(offset, length, (mode & keepSize) !== 0);
    } else node.content.allocate(offset, length, (mode & keepSize) !== 0);
    node.touch();
  }

  seek(handle: number, offset: number, whence: number): number {
    const { content } = this.#opened(handle);
    if (offset >= content.size) throw new FsError("ENXIO");
    const found = content.seek(offset, whence === seekData);
    if (found === undefined) throw new FsError("ENXIO");
    return found;
  }

  openDirectory(node: number): number {
    return this.#open(this.#folder(node), 0);
  }

  readDirectory(handle: number, from: number, take: (entry: DirectoryEntry) => boolean): void {
    const folder = this.#opened(handle);
    const dots = [
      { name: ".", node: folder, place: 1 },
      { name: "..", node: folder.parent ?? folder, place: 2 },
    ];
    for (const { name, node, place } of [...dots, ...[...folder.entries].map(([name, at]) => ({ name, ...at }))])
      if (place > from && !take({ name, inode: BigInt(node.number), type: node.mode, next: place })) return;
  }

  releaseDirectory(handle: number): void {
    this.release(handle);
  }

  syncDirectory(handle: number): void {
    this.#opened(handle);
  }

  space(): FileSystemSpace {
    const blocks = 2 ** 20;
    const files = 2 ** 20;
    return {
      blockBytes: 4096,
      blocks,
      freeBlocks: blocks / 2,
      availableBlocks: blocks / 2,
      files,
      freeFiles: files - this.#nodes.size,
      longestName: 255,
    };
  }

  getExtendedAttribute(node: number, name: string): Buffer {
    return this.#node(node).getExtended(name);
  }

  listExtendedAttributes(node: number): readonly string[] {
    return [...this.#node(node).extended.keys()];
  }

  setExtendedAttribute(node: number, name: string, value: Buffer, flags: number): void {
    this.#node(node).setExtended(name, value, flags);
  }

  removeExtendedAttribute(node: number, name: string): void {
    this.#node(node).removeExtended(name);
  }

  syncAll(): void {}
}
