import type { FileSystem } from "../file-system.ts";
import { FsError } from "../fs-error.ts";

const chunkBytes = 1024 * 1024;
const readOnly = 0;
const typeMask = 0o170000;
const directory = 0o040000;
const regular = 0o100000;
const symlink = 0o120000;
const rootNode = 1;

/** Reads a whole tree, each entry, file, link and attribute, and tells of what cannot be read. */
export class TreeWalk {
  files = 0;
  folders = 0;
  bytes = 0;
  readonly #tree: FileSystem;
  readonly #damaged: (path: string, what: string) => void;
  readonly #chunk = Buffer.alloc(chunkBytes);

  /** @param damaged - Told of a path in the volume, and what is wrong there. */
  constructor(tree: FileSystem, damaged: (path: string, what: string) => void) {
    this.#tree = tree;
    this.#damaged = damaged;
  }

  run(): void {
    this.#folder(rootNode, "");
    this.#chunk.fill(0);
  }

  #folder(node: number, path: string): void {
    this.folders += 1;
    const names: string[] = [];
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
    for (const name of names) {
      const below = `${path}/${Buffer.from(name, "latin1").toString()}`;
      this.#trying(below, () => this.#entry(node, name, below));
    }
  }

  #entry(parent: number, name: string, path: string): void {
    const { node, attributes } = this.#tree.lookup(parent, name);
    try {
      const type = attributes.mode & typeMask;
      for (const attribute of this.#tree.listExtendedAttributes(node)) this.#tree.getExtendedAttribute(node, attribute);
      if (type === directory) this.#folder(node, path);
      else if (type === symlink) this.#tree.readLink(node);
      else if (type === regular) this.#file(node);
    } finally {
      this.#tree.forget(node, 1);
    }
  }

  #file(node: number): void {
    this.files += 1;
    const handle = this.#tree.open(node, readOnly);
    try {
      for (let at = 0; ; ) {
        const count = this.#tree.read(handle, at, this.#chunk);
        this.bytes += count;
        at += count;
        if (count < this.#chunk.length) return;
      }
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
