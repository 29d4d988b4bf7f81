import { FsError } from "../fs-error.ts";
import { openFlags } from "../system/calls.ts";
import type { FileContent } from "./file-content.ts";
import type { TreeNode } from "./tree-node.ts";

/** An open file. */
export class FileHandle {
  readonly kind = "file";
  readonly node: TreeNode;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly #open: OpenContent;
  #content: FileContent | undefined;

  /** @param flags - Of open(2). */
  constructor(node: TreeNode, content: FileContent | undefined, flags: number, open: OpenContent) {
    this.node = node;
    this.readable = (flags & accessMask) !== writeOnly;
    this.writable = opensForWriting(flags);
    this.#open = open;
    this.#content = content;
  }

  /** @throws {FsError} When it is opened only now, and cannot be. */
  get content(): FileContent {
    this.#content ??= this.#open(this.node);
    return this.#content;
  }
}

/** Opens the content of a node that a handle has open already. */
type OpenContent = (node: TreeNode) => FileContent;

/** An open folder. */
export interface FolderHandle {
  readonly node: TreeNode;
  /** The shown names when reading began: what gives each entry a place that stays. */
  names: readonly string[] | undefined;
}

const accessMask = 3;
const writeOnly = 1;

type Handle = FileHandle | ({ readonly kind: "folder" } & FolderHandle);

/** @param flags - Of open(2). */
export function opensForWriting(flags: number): boolean {
  return (flags & accessMask) !== openFlags.readOnly;
}

/** Handles by number; numbers are never used again. */
export class Handles {
  readonly #open = new Map<number, Handle>();
  readonly #openContent: OpenContent;
  #next = 1;

  /** @param openContent - For a handle that was added without a content, at its first use. */
  constructor(openContent: OpenContent) {
    this.#openContent = openContent;
  }

  get size(): number {
    return this.#open.size;
  }

  /** @param flags - Of open(2). */
  addFile(node: TreeNode, content: FileContent | undefined, flags: number): number {
    return this.#add(new FileHandle(node, content, flags, this.#openContent));
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
