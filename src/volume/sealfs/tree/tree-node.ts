import { FsError } from "../fs-error.ts";
import { fileType } from "../system/calls.ts";
import type { FileStatus } from "../system/file-status.ts";
import type { ContentSize } from "./content-store.ts";
import type { FileContent } from "./file-content.ts";
import type { FolderIndex } from "./folder-index.ts";
import type { TreeEntry } from "./tree-entry.ts";
import type { TreeZone } from "./tree-keys.ts";

/** One name of a node: the entry of a folder. */
export interface NodePlace {
  readonly folder: TreeNode;
  readonly entry: TreeEntry;
}

/** An inode in use: looked up by the kernel, open, or a folder above one that is. */
export class TreeNode {
  readonly number: number;
  /** The file id, base64url. */
  readonly id: string;
  /** S_IFMT bits. */
  readonly type: number;
  /** Of the backing folder. */
  readonly inode: bigint;
  /** Of a folder: the zone of the files in it. Of anything else: the zone it lies in. Never changes. */
  readonly zone: TreeZone;

  /** Of a folder: its name, a byte string; the root's is empty. */
  folderName = "";
  /** One of the names that are known of it; a folder has at most one, the root none. */
  #place: NodePlace | undefined;
  /** The others, of a file with hard links. */
  #otherPlaces: Map<string, NodePlace> | undefined;
  #idBytes: Buffer | undefined;
  lookups = 0;
  /** Open handles, and nodes with a place in this folder. */
  holds = 0;
  /** What it was when its last name went, while nothing is open that could tell. */
  lastStatus: FileStatus | undefined;
  removed = false;
  /** An O_PATH descriptor of the inode once its last name is gone. */
  lastHold: number | undefined;
  /** Of a folder: what is made in it gets its group. Undefined: to be asked for. */
  givesGroup: boolean | undefined;

  index: FolderIndex | undefined;
  content: FileContent | undefined;
  /** Open handles of a file whose content is not open yet: `OpenContents.of` opens it at their first use. */
  handlesWaiting = 0;
  /** Bytes of a regular file's content, as long as nothing of it is open. */
  knownSize: ContentSize | undefined;
  /** Its content was closed in good order since the tree was opened. */
  wasClosed = false;

  constructor(number: number, id: string, type: number, inode: bigint, zone: TreeZone) {
    this.number = number;
    this.id = id;
    this.type = type;
    this.inode = inode;
    this.zone = zone;
  }

  get isFolder(): boolean {
    return this.type === fileType.directory;
  }

  get isFile(): boolean {
    return this.type === fileType.regular;
  }

  /** Nobody changes them. Of a folder they are kept: each name in it is bound to them. */
  get idBytes(): Buffer {
    if (!this.isFolder) return Buffer.from(this.id, "base64url");
    this.#idBytes ??= Buffer.from(this.id, "base64url");
    return this.#idBytes;
  }

  get place(): NodePlace | undefined {
    return this.#place;
  }

  places(): NodePlace[] {
    if (this.#place === undefined) return [];
    return this.#otherPlaces === undefined ? [this.#place] : [this.#place, ...this.#otherPlaces.values()];
  }

  /** @returns False when it was there; then the entry is the place's from now on. */
  addPlace(place: NodePlace): boolean {
    if (this.#place === undefined || isSame(this.#place, place)) {
      const isNew = this.#place === undefined;
      this.#place = place;
      return isNew;
    }
    this.#otherPlaces ??= new Map();
    const key = keyOf(place);
    const isNew = !this.#otherPlaces.has(key);
    this.#otherPlaces.set(key, place);
    return isNew;
  }

  /** @returns False when it was not there. */
  removePlace(place: NodePlace): boolean {
    const others = this.#otherPlaces;
    if (this.#place === undefined || !isSame(this.#place, place)) return others?.delete(keyOf(place)) ?? false;
    const next = others?.entries().next().value;
    if (next !== undefined) others?.delete(next[0]);
    this.#place = next?.[1];
    return true;
  }

  /** The folder above; the root's is the root. @throws {FsError} ENOENT for a removed folder. */
  get parent(): TreeNode {
    if (this.#place !== undefined) return this.#place.folder;
    if (this.removed) throw new FsError("ENOENT", "a removed folder");
    return this;
  }

  /** The names from the root down to this folder; undefined when there are more than `most`. */
  path(most: number): string[] | undefined {
    const names: string[] = [];
    for (let node: TreeNode = this; node.place !== undefined; node = node.place.folder) {
      if (names.length === most) return undefined;
      names.push(node.folderName);
    }
    return names.reverse();
  }

  /** True when `other` is this folder or above it. */
  isWithin(other: TreeNode): boolean {
    for (let node: TreeNode = this; ; node = node.parent) {
      if (node === other) return true;
      if (node.place === undefined) return false;
    }
  }
}

function isSame(one: NodePlace, other: NodePlace): boolean {
  return one.folder === other.folder && one.entry.shown === other.entry.shown;
}

function keyOf({ folder, entry }: NodePlace): string {
  return `${folder.number}/${entry.shown}`;
}
