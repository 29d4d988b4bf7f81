import type { FileSystem } from "../file-system.ts";
import { FsError } from "../fs-error.ts";

const readOnly = 0;
const typeMask = 0o170000;
const directory = 0o040000;
const regular = 0o100000;
const symlink = 0o120000;
const rootNode = 1;

/** A tree whose files can be verified as they are stored: holes cost nothing, and what no read would meet is found as well. */
export interface CheckedTree extends FileSystem {
  /** Reads and verifies all of an open file. @returns What is wrong, in words that name no content. @throws {FsError} */
  checkContent(handle: number): readonly string[];
}

/** A folder whose entries are being read. */
interface OpenFolder {
  readonly node: number;
  readonly path: string;
  readonly names: readonly string[];
  next: number;
}

/** Reads a whole tree, each entry, file, link and attribute, and tells of what cannot be read. */
export class TreeWalk {
  files = 0;
  folders = 0;
  /** Sizes of files, holes included. */
  bytes = 0;
  readonly #tree: CheckedTree;
  readonly #damaged: (path: string, what: string) => void;
  /** From the root down; of its own, since a tree may be deeper than a program's stack. */
  readonly #open: OpenFolder[] = [];

  /** @param damaged - Told of a path in the volume, and what is wrong there. */
  constructor(tree: CheckedTree, damaged: (path: string, what: string) => void) {
    this.#tree = tree;
    this.#damaged = damaged;
  }

  run(): void {
    this.#enter(rootNode, "");
    for (let folder = this.#open.at(-1); folder !== undefined; folder = this.#open.at(-1)) {
      const name = folder.names[folder.next];
      folder.next += 1;
      if (name === undefined) {
        this.#open.pop();
        if (folder.node !== rootNode) this.#tree.forget(folder.node, 1);
        continue;
      }
      const { node } = folder;
      const below = `${folder.path}/${Buffer.from(name, "latin1").toString()}`;
      this.#trying(below, () => this.#entry(node, name, below));
    }
  }

  /** The folder's lookup is forgotten when it has been read. */
  #enter(node: number, path: string): void {
    this.folders += 1;
    const names: string[] = [];
    this.#open.push({ node, path, names, next: 0 });
    this.#trying(path === "" ? "/" : path, () => {
      const handle = this.#tree.openDirectory(node);
      try {
        // Damaged entries are told of by the call after the last good one.
        for (let from = 0, before = -1; from !== before; ) {
          before = from;
          this.#tree.readDirectory(handle, from, ({ name, next }) => {
            if (name !== "." && name !== "..") names.push(name);
            from = next;
            return true;
          });
        }
      } finally {
        this.#tree.releaseDirectory(handle);
      }
    });
  }

  #entry(parent: number, name: string, path: string): void {
    const { node, attributes } = this.#tree.lookup(parent, name);
    const type = attributes.mode & typeMask;
    try {
      for (const attribute of this.#tree.listExtendedAttributes(node)) this.#tree.getExtendedAttribute(node, attribute);
      if (type === symlink) this.#tree.readLink(node);
      else if (type === regular) this.#file(node, path);
    } finally {
      if (type === directory) this.#enter(node, path);
      else this.#tree.forget(node, 1);
    }
  }

  #file(node: number, path: string): void {
    this.files += 1;
    const handle = this.#tree.open(node, readOnly);
    try {
      this.bytes += this.#tree.getAttributes(node, handle).size;
      for (const what of this.#tree.checkContent(handle)) this.#damaged(path, what);
    } finally {
      this.#tree.release(handle);
    }
  }

  #trying(path: string, read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      this.#damaged(path, error.message);
    }
  }
}
