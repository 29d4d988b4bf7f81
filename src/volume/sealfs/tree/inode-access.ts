import { FsError } from "../fs-error.ts";
import { holdInode } from "../system/backing-folder.ts";
import { fileType, systemCall } from "../system/calls.ts";
import { type FileStatus, statusAt, statusOf } from "../system/file-status.ts";
import type { InodePlace } from "../system/inode.ts";
import type { FolderDescriptors } from "./folder-descriptors.ts";
import type { ReportTreeEvent } from "./tree-events.ts";
import type { TreeNode } from "./tree-node.ts";

/**
 * Reaches the inodes of nodes. What is done to an inode is done through a descriptor of which it was seen that it is this node's: a
 * link of either kind that somebody puts under its name in the backing folder leads nowhere.
 */
export class InodeAccess {
  readonly #root: TreeNode;
  readonly #rootDescriptor: number;
  readonly #folders: FolderDescriptors;
  readonly #report: ReportTreeEvent;

  constructor(root: TreeNode, rootDescriptor: number, folders: FolderDescriptors, report: ReportTreeEvent) {
    this.#root = root;
    this.#rootDescriptor = rootDescriptor;
    this.#folders = folders;
    this.#report = report;
  }

  /** False when only what was seen last tells of the inode. */
  isReachable(node: TreeNode): boolean {
    return this.#ownDescriptor(node) !== undefined || node.place !== undefined;
  }

  /** Lends the way to the inode. @throws {FsError} ESTALE when nothing leads to it; EIO when it was replaced. */
  with<T>(node: TreeNode, use: (place: InodePlace) => T): T {
    const own = this.#ownDescriptor(node);
    if (own !== undefined) return use(own);
    const { place } = node;
    if (place === undefined) throw new FsError("ESTALE", "a node that no name leads to");
    if (node.isFolder) return use({ held: this.#folders.of(node) });
    const held = holdInode(this.#folders.of(place.folder), place.entry.backingName);
    try {
      this.requireSame(node, statusOf(held));
      return use({ held });
    } finally {
      systemCall("close", held);
    }
  }

  /** @throws {FsError} As {@link with}. */
  status(node: TreeNode): FileStatus {
    const own = this.#ownDescriptor(node);
    if (own !== undefined) return statusOf("held" in own ? own.held : own.descriptor);
    const { place } = node;
    if (place === undefined) throw new FsError("ESTALE", "a node that no name leads to");
    const status = statusAt(this.#folders.of(place.folder), place.entry.backingName);
    this.requireSame(node, status);
    return status;
  }

  /** @throws {FsError} EIO, reported, when this is another inode than the node's. */
  requireSame(node: TreeNode, status: FileStatus): void {
    if (node.inode === status.inode && node.type === (status.mode & fileType.mask)) return;
    const { place } = node;
    const where = place === undefined ? {} : { folderId: place.folder.id, backingName: place.entry.backingName };
    this.#report({ kind: "inode-replaced", fileId: node.id, ...where });
    throw new FsError("EIO", "an entry that leads to another file than before");
  }

  #ownDescriptor(node: TreeNode): { descriptor: number } | { held: number } | undefined {
    if (node === this.#root) return { held: this.#rootDescriptor };
    if (node.content !== undefined) return { descriptor: node.content.file.descriptor };
    const held = node.lastHold ?? this.#folders.known(node);
    return held === undefined ? undefined : { held };
  }
}
