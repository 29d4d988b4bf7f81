import type { FolderIndex } from "./folder-index.ts";
import type { FolderReader } from "./folder-reader.ts";
import type { TreeEntry } from "./tree-entry.ts";
import type { TreeNode } from "./tree-node.ts";

const mostEntries = 1_000_000;

/** The indexes of folders in memory, up to so many entries: then those not used for longest go, and are read again when needed. */
export class FolderIndexes {
  readonly #reader: FolderReader;
  readonly #root: TreeNode;
  readonly #most: number;
  /** The one used least lately first. */
  readonly #indexed = new Set<TreeNode>();
  #entries = 0;
  #latest: TreeNode | undefined;

  constructor(reader: FolderReader, root: TreeNode, most: number = mostEntries) {
    this.#reader = reader;
    this.#root = root;
    this.#most = most;
  }

  /** Entries in memory. */
  get entries(): number {
    return this.#entries;
  }

  /** @throws {FsError} When the folder cannot be listed. */
  of(folder: TreeNode): FolderIndex {
    if (folder.index !== undefined) {
      if (folder !== this.#latest) {
        this.#indexed.delete(folder);
        this.#indexed.add(folder);
        this.#latest = folder;
      }
      return folder.index;
    }
    const index = this.#reader.read(folder, folder === this.#root);
    folder.index = index;
    this.#indexed.add(folder);
    this.#latest = folder;
    this.#entries += index.size;
    return index;
  }

  /** Whether an entry can be believed; if not, it is in the index no more. */
  verify(folder: TreeNode, index: FolderIndex, entry: TreeEntry): boolean {
    return this.#counted(index, () => this.#reader.verify(folder, index, entry));
  }

  /** The name of a verified entry, or undefined as {@link verify}. */
  nameOf(folder: TreeNode, index: FolderIndex, entry: TreeEntry): string | undefined {
    return this.#counted(index, () => this.#reader.nameOf(folder, index, entry));
  }

  insert(folder: TreeNode, entry: TreeEntry): void {
    const index = this.of(folder);
    this.#counted(index, () => index.set(entry));
  }

  delete(folder: TreeNode, entry: TreeEntry): void {
    const index = this.of(folder);
    this.#counted(index, () => index.delete(entry));
  }

  /** Between requests: drops what is over the limit, but never the folder used last. */
  trim(): void {
    if (this.#entries <= this.#most) return;
    for (const folder of this.#indexed) {
      if (this.#entries <= this.#most || this.#indexed.size === 1) return;
      this.drop(folder);
    }
  }

  drop(folder: TreeNode): void {
    if (!this.#indexed.delete(folder)) return;
    this.#entries -= folder.index?.size ?? 0;
    folder.index = undefined;
    if (this.#latest === folder) this.#latest = undefined;
  }

  #counted<T>(index: FolderIndex, change: () => T): T {
    const before = index.size;
    const result = change();
    this.#entries += index.size - before;
    return result;
  }
}
