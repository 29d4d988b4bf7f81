import { FsError } from "../fs-error.ts";
import { createFile, openFile } from "../system/backing-folder.ts";
import { SystemFile } from "../system/system-file.ts";
import type { ContentStore } from "./content-store.ts";
import { FileContent } from "./file-content.ts";
import type { FolderDescriptors } from "./folder-descriptors.ts";
import type { ReportTreeEvent } from "./tree-events.ts";
import type { TreeZone } from "./tree-keys.ts";
import type { TreeNode } from "./tree-node.ts";

const mostIdle = 128;

/** The contents of regular files in use, and of some that were a moment ago. */
export class OpenContents {
  readonly #store: ContentStore;
  readonly #folders: FolderDescriptors;
  readonly #report: ReportTreeEvent;
  /** Those that no handle has open, the one idle for longest first. */
  readonly #idle = new Set<TreeNode>();

  constructor(store: ContentStore, folders: FolderDescriptors, report: ReportTreeEvent) {
    this.#store = store;
    this.#folders = folders;
    this.#report = report;
  }

  /** Files that are kept open without a handle. */
  get idleCount(): number {
    return this.#idle.size;
  }

  /** Makes a backing file with an empty content. @throws {FsError} EEXIST and others; then no file is left. */
  create(folder: number, backingName: string, mode: number, fileId: Buffer, zone: TreeZone): FileContent {
    const file = new SystemFile(this.#withDescriptors(() => createFile(folder, backingName, mode)));
    return new FileContent(this.#store.create(file, fileId, zone), file, true);
  }

  /** Gives a node the content that was made for it. */
  adopt(node: TreeNode, content: FileContent): void {
    node.content = content;
    node.knownSize = undefined;
    this.#idle.add(node);
  }

  /** The content of a node, opened if it is not. It may be closed at the next {@link trim} unless it is held. @throws {FsError} */
  of(node: TreeNode): FileContent {
    if (node.content !== undefined) {
      if (this.#idle.delete(node)) this.#idle.add(node);
      return node.content;
    }
    const place = node.places[0];
    if (place === undefined) throw new FsError("ESTALE", "a file without a name that is not open");
    const folder = this.#folders.of(place.folder);
    const file = this.#withDescriptors(() => openForUse(folder, place.entry.backingName));
    // What was closed in this session was committed whole.
    const stored = this.#store.open(file, node.idBytes, node.zone, node.knownSize !== undefined);
    const content = new FileContent(stored, file, false);
    this.adopt(node, content);
    return content;
  }

  /** Opens for a handle. @throws {FsError} */
  hold(node: TreeNode): FileContent {
    const content = this.of(node);
    content.handles += 1;
    this.#idle.delete(node);
    return content;
  }

  /** A handle is closed. @throws {FsError} When the last commit fails. */
  release(node: TreeNode): void {
    const { content } = node;
    if (content === undefined) return;
    content.handles -= 1;
    if (content.handles > 0) return;
    this.#idle.add(node);
    if (node.removed) this.close(node);
    else content.commit();
  }

  /** Closes what is idle and over the limit. Called between requests. */
  trim(): void {
    for (const node of this.#idle) {
      if (this.#idle.size <= mostIdle) return;
      this.closeIdle(node);
    }
  }

  /** Closes a content that nobody waits for: a failure was answered before, at its last release, and is reported once more. */
  closeIdle(node: TreeNode): void {
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
    node.content = undefined;
    const size = { bytes: content.stored.size, allocatedBytes: content.stored.allocatedBytes };
    // After a failure the backing file tells, which for a removed one nobody can ask any more.
    node.knownSize = node.removed ? size : undefined;
    content.close();
    node.knownSize = size;
  }

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
function openForUse(folder: number, backingName: string): SystemFile {
  try {
    return new SystemFile(openFile(folder, backingName, "write"));
  } catch (error) {
    if (!(error instanceof FsError) || error.code !== "EROFS") throw error;
    return new SystemFile(openFile(folder, backingName, "read"), "read");
  }
}
