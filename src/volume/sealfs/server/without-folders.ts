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
import { pathText, type Zone } from "../keys/zone.ts";

const rootNode = 1;

/** The outermost folders of a volume that nobody can read where the master key is not. */
export function lockedFolders(zones: Iterable<Zone>): readonly (readonly string[])[] {
  const sealed = [...zones].filter(({ protection, destroyed }) => protection === "sealed" && !destroyed);
  const texts = new Set(sealed.map(({ path }) => pathText(path)));
  return sealed
    .map(({ path }) => path)
    .filter((path) => path.length > 0 && !path.some((_, at) => texts.has(pathText(path.slice(0, at)))));
}

/**
 * A file system without some of its folders: they are not listed and not found, and nothing can be made in their places (ENOKEY). A
 * program that looks at all there is when it starts can so start without what it could not read.
 */
export class WithoutFolders implements FileSystem {
  readonly #tree: FileSystem;
  /** By the path of the folder that they are in: names. */
  readonly #hidden = new Map<string, Set<string>>();
  /** Paths that lead to them, and the nodes that the kernel knows them by. */
  readonly #waypoints = new Map<string, number | undefined>();
  readonly #listings = new Map<number, ReadonlySet<string>>();

  constructor(tree: FileSystem, hidden: readonly (readonly string[])[]) {
    this.#tree = tree;
    for (const path of hidden) {
      const [parent, name] = [pathText(path.slice(0, -1)), path.at(-1) ?? ""];
      const names = this.#hidden.get(parent) ?? new Set();
      this.#hidden.set(parent, names.add(name));
      for (let depth = 0; depth < path.length; depth++) this.#waypoints.set(pathText(path.slice(0, depth)), undefined);
    }
    this.#waypoints.set("", rootNode);
  }

  lookup(parent: number, name: string): Entry {
    if (this.#hides(parent, name)) throw new FsError("ENOENT");
    return this.#seen(parent, name, this.#tree.lookup(parent, name));
  }

  makeDirectory(parent: number, name: string, mode: number, caller: Caller): Entry {
    this.#refuse(parent, name);
    return this.#seen(parent, name, this.#tree.makeDirectory(parent, name, mode, caller));
  }

  makeSymlink(parent: number, name: string, target: Buffer, caller: Caller): Entry {
    this.#refuse(parent, name);
    return this.#tree.makeSymlink(parent, name, target, caller);
  }

  makeNode(parent: number, name: string, mode: number, device: number, caller: Caller): Entry {
    this.#refuse(parent, name);
    return this.#tree.makeNode(parent, name, mode, device, caller);
  }

  create(
    parent: number,
    name: string,
    mode: number,
    flags: number,
    caller: Caller,
  ): Entry & { readonly handle: number } {
    this.#refuse(parent, name);
    return this.#tree.create(parent, name, mode, flags, caller);
  }

  link(node: number, newParent: number, newName: string): Entry {
    this.#refuse(newParent, newName);
    return this.#tree.link(node, newParent, newName);
  }

  unlink(parent: number, name: string): void {
    this.#refuse(parent, name);
    this.#tree.unlink(parent, name);
  }

  removeDirectory(parent: number, name: string): void {
    this.#refuse(parent, name);
    this.#tree.removeDirectory(parent, name);
  }

  rename(parent: number, name: string, newParent: number, newName: string, flags: number): void {
    this.#refuse(parent, name);
    this.#refuse(newParent, newName);
    this.#tree.rename(parent, name, newParent, newName, flags);
  }

  openDirectory(node: number): number {
    const handle = this.#tree.openDirectory(node);
    const names = this.#namesHiddenIn(node);
    if (names !== undefined) this.#listings.set(handle, names);
    return handle;
  }

  readDirectory(handle: number, from: number, take: (entry: DirectoryEntry) => boolean): void {
    const names = this.#listings.get(handle);
    this.#tree.readDirectory(
      handle,
      from,
      names === undefined ? take : (entry) => names.has(entry.name) || take(entry),
    );
  }

  releaseDirectory(handle: number): void {
    this.#listings.delete(handle);
    this.#tree.releaseDirectory(handle);
  }

  forget(node: number, lookups: number): void {
    this.#tree.forget(node, lookups);
  }

  getAttributes(node: number, handle: number | undefined): Attributes {
    return this.#tree.getAttributes(node, handle);
  }

  setAttributes(node: number, change: AttributeChange, handle: number | undefined): Attributes {
    return this.#tree.setAttributes(node, change, handle);
  }

  readLink(node: number): Buffer {
    return this.#tree.readLink(node);
  }

  open(node: number, flags: number): number {
    return this.#tree.open(node, flags);
  }

  read(handle: number, offset: number, into: Buffer): number {
    return this.#tree.read(handle, offset, into);
  }

  write(handle: number, offset: number, bytes: Buffer): void {
    this.#tree.write(handle, offset, bytes);
  }

  flush(handle: number): void {
    this.#tree.flush(handle);
  }

  release(handle: number): void {
    this.#tree.release(handle);
  }

  sync(handle: number, dataOnly: boolean): void {
    this.#tree.sync(handle, dataOnly);
  }

  allocate(handle: number, mode: number, offset: number, length: number): void {
    this.#tree.allocate(handle, mode, offset, length);
  }

  seek(handle: number, offset: number, whence: number): number {
    return this.#tree.seek(handle, offset, whence);
  }

  syncDirectory(handle: number): void {
    this.#tree.syncDirectory(handle);
  }

  space(node: number): FileSystemSpace {
    return this.#tree.space(node);
  }

  getExtendedAttribute(node: number, name: string): Buffer {
    return this.#tree.getExtendedAttribute(node, name);
  }

  listExtendedAttributes(node: number): readonly string[] {
    return this.#tree.listExtendedAttributes(node);
  }

  setExtendedAttribute(node: number, name: string, value: Buffer, flags: number): void {
    this.#tree.setExtendedAttribute(node, name, value, flags);
  }

  removeExtendedAttribute(node: number, name: string): void {
    this.#tree.removeExtendedAttribute(node, name);
  }

  syncAll(): void {
    this.#tree.syncAll();
  }

  /** A folder on the way to a hidden one is remembered. */
  #seen(parent: number, name: string, entry: Entry): Entry {
    const path = this.#pathOf(parent);
    if (path === undefined) return entry;
    const below = path === "" ? name : `${path}/${name}`;
    if (this.#waypoints.has(below)) this.#waypoints.set(below, entry.node);
    return entry;
  }

  #refuse(parent: number, name: string): void {
    if (this.#hides(parent, name)) throw new FsError("ENOKEY", "a folder that cannot be read here");
  }

  #hides(parent: number, name: string): boolean {
    return this.#namesHiddenIn(parent)?.has(name) === true;
  }

  #namesHiddenIn(node: number): ReadonlySet<string> | undefined {
    const path = this.#pathOf(node);
    return path === undefined ? undefined : this.#hidden.get(path);
  }

  #pathOf(node: number): string | undefined {
    for (const [path, known] of this.#waypoints) if (known === node) return path;
    return undefined;
  }
}
