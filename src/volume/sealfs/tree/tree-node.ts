import { FsError } from "../fs-error.ts";
import { fileType } from "../system/calls.ts";
import type { FileStatus } from "../system/file-status.ts";
import type { FileContent } from "./file-content.ts";
import type { FolderIndex, TreeEntry } from "./folder-index.ts";
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
  readonly idBytes: Buffer;
  /** S_IFMT bits. */
  readonly type: number;
  /** Of the backing folder. */
  readonly inode: bigint;
  /** Of a folder: the zone of the files in it. Of anything else: the zone it lies in. Never changes. */
  readonly zone: TreeZone;

  /** The names that are known of it; a folder has at most one, the root none. */
  places: readonly NodePlace[] = [];
  lookups = 0;
  /** Open handles, and nodes with a place in this folder. */
  holds = 0;
  /** What it was when its last name went, while nothing is open that could tell. */
  lastStatus: FileStatus | undefined;
  removed = false;

  index: FolderIndex | undefined;
  content: FileContent | undefined;
  /** Bytes of a regular file's content, as long as nothing of it is open. */
  knownSize: { readonly bytes: number; readonly allocatedBytes: number } | undefined;

  constructor(number: number, id: string, type: number, inode: bigint, zone: TreeZone) {
    this.number = number;
    this.id = id;
    this.idBytes = Buffer.from(id, "base64url");
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

  /** The folder above; the root's is the root. @throws {FsError} ENOENT for a removed folder. */
  get parent(): TreeNode {
    const place = this.places[0];
    if (place !== undefined) return place.folder;
    if (this.removed) throw new FsError("ENOENT", "a removed folder");
    return this;
  }

  /** The names from the root down to this folder. */
  path(): string[] {
    const names: string[] = [];
    for (let place = this.places[0]; place !== undefined; place = place.folder.places[0]) names.push(place.entry.name);
    return names.reverse();
  }

  /** True when `other` is this folder or above it. */
  isWithin(other: TreeNode): boolean {
    for (let node: TreeNode = this; ; node = node.parent) {
      if (node === other) return true;
      if (node.places.length === 0) return false;
    }
  }
}
