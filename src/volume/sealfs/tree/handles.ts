import { FsError } from "../fs-error.ts";
import { openFlags } from "../system/calls.ts";
import type { FileContent } from "./file-content.ts";
import type { TreeNode } from "./tree-node.ts";

/** An open file. */
export interface FileHandle {
  readonly node: TreeNode;
  readonly content: FileContent;
  readonly readable: boolean;
  readonly writable: boolean;
}

/** An open folder. */
export interface FolderHandle {
  readonly node: TreeNode;
  /** The names when reading began: what gives each entry a place that stays. */
  names: readonly string[] | undefined;
}

const accessMask = 3;
const writeOnly = 1;

type Handle = ({ readonly kind: "file" } & FileHandle) | ({ readonly kind: "folder" } & FolderHandle);

/** @param flags - Of open(2). */
export function opensForWriting(flags: number): boolean {
  return (flags & accessMask) !== openFlags.readOnly;
}

/** Handles by number; numbers are never used again. */
export class Handles {
  readonly #open = new Map<number, Handle>();
  #next = 1;

  get size(): number {
    return this.#open.size;
  }

  /** @param flags - Of open(2). */
  addFile(node: TreeNode, content: FileContent, flags: number): number {
    const readable = (flags & accessMask) !== writeOnly;
    return this.#add({ kind: "file", node, content, readable, writable: opensForWriting(flags) });
  }

  addFolder(node: TreeNode): number {
    return this.#add({ kind: "folder", node, names: undefined });
  }

  /** @throws {FsError} EBADF */
  file(number: number): FileHandle {
    const handle = this.#open.get(number);
    if (handle?.kind !== "file") throw new FsError("EBADF");
    return handle;
  }

  /** @throws {FsError} EBADF when it is not open for writing. */
  writableFile(number: number): FileHandle {
    const handle = this.file(number);
    if (!handle.writable) throw new FsError("EBADF", "a handle that is open for reading");
    return handle;
  }

  /** @throws {FsError} EBADF */
  folder(number: number): FolderHandle {
    const handle = this.#open.get(number);
    if (handle?.kind !== "folder") throw new FsError("EBADF");
    return handle;
  }

  remove(number: number): void {
    this.#open.delete(number);
  }

  #add(handle: Handle): number {
    const number = this.#next;
    this.#next += 1;
    this.#open.set(number, handle);
    return number;
  }
}
