import { FsError } from "../fs-error.ts";
import { openFolder } from "../system/backing-folder.ts";
import { systemCall } from "../system/calls.ts";
import { statusOf } from "../system/file-status.ts";
import type { ReportTreeEvent } from "./tree-events.ts";
import type { TreeNode } from "./tree-node.ts";

/** What opening a name says when it leads to no folder (any more). */
const goneCodes: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "ELOOP"]);

/** Descriptors of the backing folders in use; those not used for longest are closed, and opened again from the folder above. */
export class FolderDescriptors {
  readonly #root: number;
  readonly #rootNode: TreeNode;
  readonly #report: ReportTreeEvent;
  readonly #most: number;
  readonly #open = new Map<TreeNode, number>();

  /**
   * @param root - Descriptor of the root's backing folder; stays the caller's.
   * @param most - How many are kept open between requests.
   */
  constructor(rootNode: TreeNode, root: number, report: ReportTreeEvent, most: number) {
    this.#most = most;
    this.#rootNode = rootNode;
    this.#root = root;
    this.#report = report;
  }

  /** Open descriptors, but for the root's. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * The descriptor of a folder; good until the next {@link trim}.
   *
   * @throws {FsError} ENOENT for a removed folder, EIO when the backing folder is not there or is another one.
   */
  of(folder: TreeNode): number {
    if (folder === this.#rootNode) return this.#root;
    const known = this.#open.get(folder);
    if (known !== undefined) {
      this.#open.delete(folder);
      this.#open.set(folder, known);
      return known;
    }
    const missing: TreeNode[] = [];
    let above = folder;
    while (above !== this.#rootNode && !this.#open.has(above)) {
      missing.push(above);
      above = above.parent;
    }
    let descriptor = above === this.#rootNode ? this.#root : (this.#open.get(above) ?? this.#root);
    for (const node of missing.reverse()) {
      descriptor = this.#openBelow(descriptor, node);
      this.#open.set(node, descriptor);
    }
    return descriptor;
  }

  /** The descriptor of a folder, where it is open. */
  known(folder: TreeNode): number | undefined {
    return this.#open.get(folder);
  }

  /** Gives up a descriptor, which is the caller's from now on. */
  take(folder: TreeNode): number | undefined {
    const descriptor = this.#open.get(folder);
    this.#open.delete(folder);
    return descriptor;
  }

  /** Closes what is over the limit. Called between requests. */
  trim(): void {
    for (const folder of this.#open.keys()) {
      if (this.#open.size <= this.#most) return;
      this.close(folder);
    }
  }

  close(folder: TreeNode): void {
    const descriptor = this.#open.get(folder);
    if (descriptor === undefined) return;
    this.#open.delete(folder);
    systemCall("close", descriptor);
  }

  closeAll(): void {
    for (const folder of [...this.#open.keys()]) this.close(folder);
  }

  #openBelow(above: number, node: TreeNode): number {
    const backingName = node.place?.entry.backingName ?? "";
    let descriptor: number;
    try {
      descriptor = openFolder(above, backingName);
    } catch (error) {
      if (!(error instanceof FsError) || !goneCodes.has(error.code)) throw error;
      this.#report({ kind: "entry-missing", fileId: node.id, backingName });
      throw new FsError("EIO", "a backing folder is not there");
    }
    if (statusOf(descriptor).inode === node.inode) return descriptor;
    systemCall("close", descriptor);
    this.#report({ kind: "inode-replaced", fileId: node.id, backingName });
    throw new FsError("EIO", "a backing folder was replaced");
  }
}
