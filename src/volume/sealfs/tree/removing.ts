import { FsError } from "../fs-error.ts";
import { removeFolder, unlinkFile } from "../system/backing-folder.ts";
import { fileType } from "../system/calls.ts";
import { type FileStatus, statusAt } from "../system/file-status.ts";
import type { TreeEntry } from "./tree-entry.ts";
import { deepestZone } from "./tree-keys.ts";
import type { TreeNode } from "./tree-node.ts";
import type { TreeState } from "./tree-state.ts";

/** @throws {FsError} ENOENT, EISDIR and those of unlink(2). */
export function unlink(state: TreeState, folder: TreeNode, name: string): void {
  const entry = state.entry(folder, name);
  if (entry.type === fileType.directory) throw new FsError("EISDIR");
  remove(state, folder, entry);
}

/** @throws {FsError} ENOENT, ENOTDIR, ENOTEMPTY and those of rmdir(2). */
export function removeEmptyFolder(state: TreeState, folder: TreeNode, name: string): void {
  const entry = state.entry(folder, name);
  requireEmptyFolder(state, folder, name, entry);
  const above = folder.path(deepestZone - 1);
  remove(state, folder, entry);
  if (above !== undefined) state.keys.folderRemoved([...above, name]);
}

/** @throws {FsError} ENOTDIR, ENOTEMPTY: also for files that are none of the file system's; EIO for a folder in another's place. */
export function requireEmptyFolder(state: TreeState, folder: TreeNode, name: string, entry: TreeEntry): void {
  if (entry.type !== fileType.directory) throw new FsError("ENOTDIR");
  const node = state.nodeOf(folder, name, entry);
  state.nodes.hold(node);
  try {
    if (!state.indexOf(node).empty) throw new FsError("ENOTEMPTY");
  } finally {
    state.nodes.release(node);
  }
}

function remove(state: TreeState, folder: TreeNode, entry: TreeEntry): void {
  const descriptor = state.folders.of(folder);
  withoutName(state, folder, entry, () => removeBacking(descriptor, entry));
  state.indexes.delete(folder, entry);
  state.sidecars.drop(descriptor, entry.shown);
}

/**
 * Takes an entry out of the backing folder by `change`: its node, if in use, lives on without this name.
 *
 * @throws {FsError} What `change` does; then nothing has changed.
 */
export function withoutName(state: TreeState, folder: TreeNode, entry: TreeEntry, change: () => void): void {
  const node = state.nodes.known(entry.fileId);
  if (node === undefined) {
    change();
    return;
  }
  const descriptor = state.folders.of(folder);
  const held = state.contents.holdRemoved(node, descriptor, entry.backingName);
  const before = held ?? statusAt(descriptor, entry.backingName);
  try {
    change();
  } catch (error) {
    state.contents.dropHold(node);
    throw error;
  }
  loseName(state, node, folder, entry, before);
}

/** @throws {FsError} */
export function removeBacking(descriptor: number, { type, backingName }: TreeEntry): void {
  if (type === fileType.directory) removeFolder(descriptor, backingName);
  else unlinkFile(descriptor, backingName);
}

function loseName(state: TreeState, node: TreeNode, folder: TreeNode, entry: TreeEntry, before: FileStatus): void {
  state.nodes.hold(node);
  const last = node.isFolder || before.links <= 1;
  node.lastStatus = { ...before, links: last ? 0 : before.links - 1 };
  if (!last) state.contents.dropHold(node);
  if (node.isFile && node.content === undefined && node.lastHold === undefined)
    node.knownSize ??= { bytes: before.size, allocatedBytes: 0 };
  if (node.isFolder) state.closeFolder(node);
  state.nodes.removePlace(node, folder, entry);
  if (last) {
    state.nodes.markRemoved(node);
    if (node.content?.handles === 0) closeRemoved(state, node);
    if (node.isFile) state.contents.forget(node);
  }
  state.nodes.release(node);
}

function closeRemoved(state: TreeState, node: TreeNode): void {
  try {
    state.contents.close(node);
  } catch {
    // What a removed file's last commit could not write is lost with it.
  }
}
