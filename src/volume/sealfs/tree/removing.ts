import { FsError } from "../fs-error.ts";
import { removeFolder, unlinkFile } from "../system/backing-folder.ts";
import { fileType } from "../system/calls.ts";
import { type FileStatus, statusAt } from "../system/file-status.ts";
import type { TreeEntry } from "./folder-index.ts";
import type { TreeNode } from "./tree-node.ts";
import type { TreeState } from "./tree-state.ts";

/** @throws {FsError} ENOENT, EISDIR and those of unlink(2). */
export function unlink(state: TreeState, folder: TreeNode, name: string): void {
  const entry = state.entry(folder, name);
  if (entry.type === fileType.directory) throw new FsError("EISDIR");
  const before = statusBeforeRemoval(state, folder, entry);
  const descriptor = state.folders.of(folder);
  unlinkFile(descriptor, entry.backingName);
  state.indexOf(folder).entries.delete(name);
  state.sidecars.drop(descriptor, state.names.shown(folder.idBytes, name));
  loseName(state, folder, entry, before);
}

/** @throws {FsError} ENOENT, ENOTDIR, ENOTEMPTY and those of rmdir(2). */
export function removeEmptyFolder(state: TreeState, folder: TreeNode, name: string): void {
  const entry = state.entry(folder, name);
  requireEmptyFolder(state, folder, entry);
  const path = [...folder.path(), name];
  const before = statusBeforeRemoval(state, folder, entry);
  const descriptor = state.folders.of(folder);
  removeFolder(descriptor, entry.backingName);
  state.indexOf(folder).entries.delete(name);
  state.sidecars.drop(descriptor, state.names.shown(folder.idBytes, name));
  loseName(state, folder, entry, before);
  state.keys.folderRemoved(path);
}

/** @throws {FsError} ENOTDIR, ENOTEMPTY: also for files that are none of the file system's. */
export function requireEmptyFolder(state: TreeState, folder: TreeNode, entry: TreeEntry): void {
  if (entry.type !== fileType.directory) throw new FsError("ENOTDIR");
  const node = state.nodeOf(folder, entry);
  state.nodes.hold(node);
  try {
    if (!state.indexOf(node).empty) throw new FsError("ENOTEMPTY");
  } finally {
    state.nodes.release(node);
  }
}

/** What an entry's inode is, if somebody may ask for it once the entry is gone. */
export function statusBeforeRemoval(state: TreeState, folder: TreeNode, entry: TreeEntry): FileStatus | undefined {
  if (state.nodes.known(entry.fileId) === undefined) return undefined;
  return statusAt(state.folders.of(folder), entry.backingName);
}

/** After an entry is gone from the backing folder: its node, if in use, lives on without this name. */
export function loseName(state: TreeState, folder: TreeNode, entry: TreeEntry, before: FileStatus | undefined): void {
  const node = state.nodes.known(entry.fileId);
  if (node === undefined || before === undefined) return;
  state.nodes.hold(node);
  const last = node.isFolder || before.links <= 1;
  node.lastStatus = { ...before, links: last ? 0 : before.links - 1 };
  if (node.isFile && node.content === undefined) node.knownSize ??= { bytes: before.size, allocatedBytes: 0 };
  if (node.isFolder) state.closeFolder(node);
  state.nodes.removePlace(node, folder, entry);
  if (last) {
    state.nodes.markRemoved(node);
    if (node.content?.handles === 0) closeRemoved(state, node);
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
