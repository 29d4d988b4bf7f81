import { kernelRandomBytes } from "../../../crypto/kernel-random.ts";
import { FsError } from "../fs-error.ts";
import { createFile, holdInode, openFile, reopenFile } from "../system/backing-folder.ts";
import { systemCall } from "../system/calls.ts";
import { type FileStatus, statusOf } from "../system/file-status.ts";
import { SystemFile } from "../system/system-file.ts";
import type { ContentSize, ContentStore } from "./content-store.ts";
import type { DescriptorBudget } from "./descriptor-budget.ts";
import { FileContent } from "./file-content.ts";
import type { FolderDescriptors } from "./folder-descriptors.ts";
import type { InodeAccess } from "./inode-access.ts";
import type { ReportTreeEvent } from "./tree-events.ts";
import type { TreeZone } from "./tree-keys.ts";
import type { TreeNode } from "./tree-node.ts";

/** The contents of regular files in use, and of some that were a moment ago; and what holds inodes that have no name any more. */
export class OpenContents {
  readonly #store: ContentStore;
  readonly #folders: FolderDescriptors;
  readonly #inodes: InodeAccess;
  readonly #budget: DescriptorBudget;
  readonly #report: ReportTreeEvent;
  /** Those that no handle has open, the one idle for longest first. */
  readonly #idle = new Set<TreeNode>();
  /** How many files handles have open. */
  #held = 0;
  /** How many removed nodes are held. */
  #removed = 0;
  /** The file whose size was read last, without opening it. */
  #lastSized: TreeNode | undefined;
  /** Files that are looked up are opened soon, as it went last: then their heads are read once, for both. */
  #opensFollow = false;

  constructor(
    store: ContentStore,
    folders: FolderDescriptors,
    inodes: InodeAccess,
    budget: DescriptorBudget,
    report: ReportTreeEvent,
  ) {
    this.#store = store;
    this.#folders = folders;
    this.#inodes = inodes;
    this.#budget = budget;
    this.#report = report;
  }

  /** Files that are kept open without a handle. */
  get idleCount(): number {
    return this.#idle.size;
  }

  /** For a file that is made now: 16 bytes, never given before. */
  newFileId(): Buffer {
    return this.#store.newFileId?.() ?? kernelRandomBytes(16);
  }

  /** Makes a backing file with an empty content. @throws {FsError} ENFILE, EEXIST and others; then no file is left. */
  create(folder: number, backingName: string, mode: number, fileId: Buffer, zone: TreeZone): FileContent {
    this.#requireRoom();
    const file = new SystemFile(this.#withDescriptors(() => createFile(folder, backingName, mode)));
    return new FileContent(this.#store.create(file, fileId, zone), file, true);
  }

  /** Gives a node the content that was made for it. */
  adopt(node: TreeNode, content: FileContent): void {
    node.content = content;
    node.knownSize = undefined;
    node.wasClosed = false;
    content.handles = node.handlesWaiting;
    node.handlesWaiting = 0;
    content.wasHeld = content.handles > 0;
    if (content.wasHeld) this.#noteUse(node);
    else this.#idle.add(node);
  }

  /** The content of a node, opened if it is not. It may be closed at the next {@link trim} unless it is held. @throws {FsError} */
  of(node: TreeNode): FileContent {
    if (node.content !== undefined) {
      if (this.#idle.delete(node)) this.#idle.add(node);
      return node.content;
    }
    const file = this.#openBacking(node);
    // What was closed in this session was committed whole.
    const stored = this.#store.open(file, node.idBytes, node.zone, node.wasClosed);
    const content = new FileContent(stored, file, false);
    this.adopt(node, content);
    return content;
  }

  /** Opens for a handle. @throws {FsError} ENFILE when too many files are open. */
  hold(node: TreeNode): FileContent {
    const isFirst = this.#requireRoomFor(node);
    const wasOpen = node.content !== undefined;
    const content = this.of(node);
    if (!wasOpen) this.#noteUse(node);
    content.wasHeld = true;
    if (isFirst) this.#held += 1;
    content.handles += 1;
    this.#idle.delete(node);
    return content;
  }

  /**
   * Opens for a handle that only reads. What is known to be whole is opened at the first use: of a file that is read again the
   * kernel has the pages, and asks for none.
   *
   * @returns Undefined when {@link of} is to give the content later.
   * @throws {FsError} ENFILE when too many files are open; ENOKEY; EIO.
   */
  holdForReading(node: TreeNode): FileContent | undefined {
    if (node.content !== undefined || node.knownSize === undefined || node.place === undefined) return this.hold(node);
    const isFirst = this.#requireRoomFor(node);
    this.#store.requireKey?.(node.zone);
    if (isFirst) this.#held += 1;
    node.handlesWaiting += 1;
    return undefined;
  }

  /** A handle is closed. @throws {FsError} When the last commit fails. */
  release(node: TreeNode): void {
    const { content } = node;
    if (content === undefined) {
      if (node.handlesWaiting === 0) return;
      node.handlesWaiting -= 1;
      if (node.handlesWaiting === 0) this.#held -= 1;
      return;
    }
    content.handles -= 1;
    if (content.handles > 0) return;
    this.#held -= 1;
    this.#idle.add(node);
    if (node.removed) this.close(node);
    else content.commit();
  }

  /** Closes what is idle and over the limit. Called between requests. */
  trim(): void {
    const most = Math.min(this.#budget.idle, this.#budget.contents - this.#held);
    if (this.#idle.size <= most) return;
    for (const node of this.#idle) {
      if (this.#idle.size <= most) return;
      this.closeIdle(node);
    }
  }

  /** Closes a content that nobody waits for: a failure was answered before, at its last release, and is reported once more. */
  closeIdle(node: TreeNode): void {
    if (node.content?.wasHeld === false) this.#opensFollow = false;
    try {
      this.close(node);
    } catch (error) {
      this.#report({ kind: "content-damaged", fileId: node.id, detail: error instanceof Error ? error.message : "" });
    }
  }

  /** Closes a content, whoever has it open. @throws {FsError} When the last commit fails; it is closed all the same. */
  close(node: TreeNode): void {
    this.#idle.delete(node);
    const { content } = node;
    if (content === undefined) return;
    if (content.handles > 0) this.#held -= 1;
    node.content = undefined;
    const size = { bytes: content.stored.size, allocatedBytes: content.stored.allocatedBytes };
    // After a failure the backing file tells, which for a removed one nobody can ask any more.
    node.knownSize = node.removed ? size : undefined;
    content.close();
    node.knownSize = size;
    node.wasClosed = true;
  }

  /** How large a file is that is not open. @returns Undefined when only its content tells. */
  readSize(node: TreeNode): ContentSize | undefined {
    const { place } = node;
    if (this.#store.size === undefined || place === undefined) return undefined;
    if (this.#lastSized?.content?.wasHeld === false) this.#opensFollow = false;
    this.#lastSized = node;
    if (this.#opensFollow) return undefined;
    // Nothing is changed here, and heads are bound to the file's id: no need to see which inode it is.
    const file = new SystemFile(
      this.#withDescriptors(() => openFile(this.#folders.of(place.folder), place.entry.backingName, "read")),
      "read",
    );
    try {
      node.knownSize = this.#store.size(file, node.idBytes, node.zone);
      return node.knownSize;
    } finally {
      file.close();
    }
  }

  /**
   * Before a name goes that may be a node's last: holds its inode, so that who has it otherwise than open (a descriptor of O_PATH, a
   * working folder) can still use it. Of very many at a time some are not held. A content that handles wait for is opened.
   *
   * @returns What the inode is, if it is held now.
   * @throws {FsError} EIO when the name leads elsewhere.
   */
  holdRemoved(node: TreeNode, folder: number, backingName: string): FileStatus | undefined {
    if (node.handlesWaiting > 0) this.#openUnlessDamaged(node);
    if (this.#removed >= this.#budget.removed || node.lastHold !== undefined) return undefined;
    node.lastHold = (node.isFolder ? this.#folders.take(node) : undefined) ?? holdInode(folder, backingName);
    this.#removed += 1;
    try {
      const status = statusOf(node.lastHold);
      this.#inodes.requireSame(node, status);
      return status;
    } catch (error) {
      this.dropHold(node);
      throw error;
    }
  }

  /** A node has lost its last name. */
  forget(node: TreeNode): void {
    this.#store.removed?.(node.idBytes);
  }

  dropHold(node: TreeNode): void {
    if (node.lastHold === undefined) return;
    systemCall("close", node.lastHold);
    node.lastHold = undefined;
    this.#removed -= 1;
  }

  /** What is damaged can be removed as well; who has it open is told when it reads. */
  #openUnlessDamaged(node: TreeNode): void {
    try {
      this.of(node);
    } catch (error) {
      if (!(error instanceof FsError) || (error.code !== "EIO" && error.code !== "ENOKEY")) throw error;
    }
  }

  /** The content is opened for a handle. */
  #noteUse(node: TreeNode): void {
    if (node === this.#lastSized) this.#opensFollow = true;
  }

  /** @returns True for the first handle of a file. @throws {FsError} ENFILE */
  #requireRoomFor(node: TreeNode): boolean {
    const isFirst = (node.content?.handles ?? node.handlesWaiting) === 0;
    if (isFirst) this.#requireRoom();
    return isFirst;
  }

  #requireRoom(): void {
    if (this.#held >= this.#budget.contents)
      throw new FsError("ENFILE", "as many files are open as this server may have");
  }

  #openBacking(node: TreeNode): SystemFile {
    const { place, lastHold } = node;
    if (place === undefined && lastHold === undefined)
      throw new FsError("ESTALE", "a file without a name that is not open");
    const file = this.#withDescriptors(() =>
      openForUse((access) =>
        place === undefined
          ? reopenFile(lastHold ?? -1, access)
          : openFile(this.#folders.of(place.folder), place.entry.backingName, access),
      ),
    );
    try {
      this.#inodes.requireSame(node, statusOf(file.descriptor));
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Where the process's limit was lowered meanwhile: what nobody has open makes room. */
  #withDescriptors<T>(open: () => T): T {
    try {
      return open();
    } catch (error) {
      if (!(error instanceof FsError) || error.code !== "EMFILE") throw error;
      for (const node of [...this.#idle]) this.closeIdle(node);
      return open();
    }
  }
}

/** Where the backing folder can only be read, for reading. */
function openForUse(open: (access: "read" | "write") => number): SystemFile {
  try {
    return new SystemFile(open("write"));
  } catch (error) {
    if (!(error instanceof FsError) || error.code !== "EROFS") throw error;
    return new SystemFile(open("read"), "read");
  }
}
