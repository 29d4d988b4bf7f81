import type { TreeEntry } from "./tree-entry.ts";

/** What a folder holds, by the shown names of its entries, and the shown names of those that are damaged. */
export class FolderIndex {
  readonly #entries = new Map<string, TreeEntry>();
  readonly damaged = new Set<string>();
  /** Files that are none of the file system's; they keep the folder from being removed. */
  strays = 0;
  /** The backing folder is another folder's: nothing in it is believed. */
  foreign = false;

  get size(): number {
    return this.#entries.size;
  }

  get empty(): boolean {
    return this.#entries.size === 0 && this.damaged.size === 0 && this.strays === 0;
  }

  get(shown: string): TreeEntry | undefined {
    return this.#entries.get(shown);
  }

  /** One more entry, or another one under a name. */
  set(entry: TreeEntry): void {
    this.#entries.set(entry.shown, entry);
  }

  delete(entry: TreeEntry): void {
    this.#entries.delete(entry.shown);
  }

  /** An entry is none of this folder. */
  markDamaged(entry: TreeEntry): void {
    const { shown } = entry;
    if (this.#entries.get(shown) === entry) this.#entries.delete(shown);
    this.damaged.add(shown);
  }

  shownNames(): string[] {
    return [...this.#entries.keys()];
  }

  entries(): TreeEntry[] {
    return [...this.#entries.values()];
  }
}
