import { kernelRandomBytes } from "../../../crypto/kernel-random.ts";
import type { Caller } from "../file-system.ts";
import { FsError } from "../fs-error.ts";
import {
  linkFile,
  makeFolder as makeBackingFolder,
  makeSymlink as makeBackingSymlink,
  makeSpecial,
  removeFolder,
  unlinkFile,
} from "../system/backing-folder.ts";
import { fileType } from "../system/calls.ts";
import { type FileStatus, statusAt, statusOf } from "../system/file-status.ts";
import { type InodePlace, setMode, setOwner } from "../system/inode.ts";
import { markFolder } from "./folder-mark.ts";
import { sealLinkTarget } from "./link-targets.ts";
import { TreeEntry } from "./tree-entry.ts";
import { deepestZone, type TreeZone } from "./tree-keys.ts";
import type { TreeNode } from "./tree-node.ts";
import type { TreeState } from "./tree-state.ts";

/** How entries come to be: each is one system call of the backing folder that makes it under its bound name. */

const fileIdBytes = 16;
const setGroupBit = 0o2000;
const setIdBits = 0o6000;

/** Who becomes the owner, and the permissions with the type bits. */
export interface NewInode {
  readonly mode: number;
  readonly caller: Caller;
}

/** A node that was made, which nobody holds yet, and what its inode is. */
export interface MadeNode {
  readonly node: TreeNode;
  readonly status: FileStatus;
}

/** With its content open. @throws {FsError} */
export function makeFile(state: TreeState, folder: TreeNode, name: string, { mode, caller }: NewInode): MadeNode {
  const id = state.contents.newFileId();
  return makeEntry(state, folder, name, fileType.regular, id, (descriptor, backingName) => {
    const content = state.contents.create(descriptor, backingName, mode, id, folder.zone);
    const place = { descriptor: content.file.descriptor };
    try {
      give(state, folder, place, mode, caller);
      const status = statusOf(place.descriptor);
      const added = (entry: TreeEntry): TreeNode => {
        const node = state.nodes.add({ folder, entry }, name, status.inode, folder.zone);
        state.contents.adopt(node, content);
        return node;
      };
      return { status, added };
    } catch (error) {
      content.stored.close();
      throw error;
    }
  });
}

/** FIFOs, sockets and devices. @throws {FsError} */
export function makeSpecialFile(
  state: TreeState,
  folder: TreeNode,
  name: string,
  { mode, caller }: NewInode,
  device: number,
): MadeNode {
  const id = kernelRandomBytes(fileIdBytes);
  return makeEntry(state, folder, name, mode & fileType.mask, id, (descriptor, backingName) => {
    makeSpecial(descriptor, backingName, mode, device);
    return ownedByName(state, { folder, name }, descriptor, backingName, mode, caller, folder.zone);
  });
}

/** @throws {FsError} */
export function makeSymlink(
  state: TreeState,
  folder: TreeNode,
  name: string,
  target: Buffer,
  caller: Caller,
): MadeNode {
  const id = kernelRandomBytes(fileIdBytes);
  const backingTarget = sealLinkTarget(state.keys, id, target);
  return makeEntry(state, folder, name, fileType.symlink, id, (descriptor, backingName) => {
    makeBackingSymlink(descriptor, backingName, backingTarget);
    return ownedByName(state, { folder, name }, descriptor, backingName, 0, caller, folder.zone);
  });
}

/** In a zone of its own where a rule says so. @throws {FsError} */
export function makeFolder(state: TreeState, folder: TreeNode, name: string, { mode, caller }: NewInode): MadeNode {
  const id = kernelRandomBytes(fileIdBytes);
  return makeEntry(state, folder, name, fileType.directory, id, (descriptor, backingName) => {
    const above = folder.path(deepestZone - 1);
    const zone = above === undefined ? folder.zone : state.keys.zoneForNewFolder([...above, name]);
    makeBackingFolder(descriptor, backingName, mode);
    markFolder(state.names, { folder: descriptor, name: backingName }, id);
    return ownedByName(state, { folder, name }, descriptor, backingName, mode, caller, zone);
  });
}

/** One more name for a file. @throws {FsError} EPERM for a folder, EXDEV from another zone, ENOENT for a removed file. */
export function makeLink(state: TreeState, node: TreeNode, folder: TreeNode, name: string): void {
  if (node.isFolder) throw new FsError("EPERM", "a link to a folder");
  if (!node.zone.zoneId.equals(folder.zone.zoneId)) throw new FsError("EXDEV");
  const { place } = node;
  if (place === undefined) throw new FsError("ENOENT", "a file without a name");
  const from = state.folders.of(place.folder);
  const status = state.inodes.status(node);
  makeEntry(state, folder, name, node.type, node.idBytes, (descriptor, backingName) => {
    linkFile(from, place.entry.backingName, descriptor, backingName);
    const added = (entry: TreeEntry): TreeNode => {
      state.nodes.addPlace(node, { folder, entry });
      return node;
    };
    return { status, added };
  });
}

interface Made {
  readonly status: FileStatus;
  /** Gives the new entry its node. */
  readonly added: (entry: TreeEntry) => TreeNode;
}

function makeEntry(
  state: TreeState,
  folder: TreeNode,
  name: string,
  type: number,
  id: Buffer,
  make: (descriptor: number, backingName: string) => Made,
): MadeNode {
  if (state.entryIfAny(folder, name) !== undefined) throw new FsError("EEXIST");
  const descriptor = state.folders.of(folder);
  const shown = state.names.shown(folder.idBytes, name);
  const parsed = { shown, fileId: id.toString("base64url"), sequence: state.sequences.next() };
  const backingName = state.names.entryName(folder.idBytes, folder.zone.zoneId, type, parsed);
  state.sidecars.keep(descriptor, folder.idBytes, shown, name);
  let made: Made;
  try {
    made = make(descriptor, backingName);
  } catch (error) {
    if (!(error instanceof FsError) || error.code !== "EEXIST") undo(descriptor, backingName, type);
    state.sidecars.drop(descriptor, shown);
    throw error;
  }
  const entry = new TreeEntry(backingName, type, made.status.inode, true);
  state.indexes.insert(folder, entry);
  return { node: made.added(entry), status: made.status };
}

/** The backing name is this call's alone, as its file id is new; of a link, which fails as a whole, there is none. */
function undo(descriptor: number, backingName: string, type: number): void {
  try {
    if (type === fileType.directory) removeFolder(descriptor, backingName);
    else unlinkFile(descriptor, backingName);
  } catch {
    // It was not made.
  }
}

function ownedByName(
  state: TreeState,
  { folder, name }: { readonly folder: TreeNode; readonly name: string },
  descriptor: number,
  backingName: string,
  mode: number,
  caller: Caller,
  zone: TreeZone,
): Made {
  give(state, folder, { folder: descriptor, name: backingName }, mode, caller);
  const status = statusAt(descriptor, backingName);
  return { status, added: (entry) => state.nodes.add({ folder, entry }, name, status.inode, zone) };
}

/** Makes the caller the owner; the group is the folder's where that says so (the backing folder has seen to it). */
function give(state: TreeState, folder: TreeNode, place: InodePlace, mode: number, caller: Caller): void {
  const uid = caller.uid === ownUser ? undefined : caller.uid;
  const otherGroup = caller.gid !== ownGroup;
  if (uid === undefined && !otherGroup) return;
  folder.givesGroup ??= (state.inodes.status(folder).mode & setGroupBit) !== 0;
  const gid = otherGroup && !folder.givesGroup ? caller.gid : undefined;
  if (uid === undefined && gid === undefined) return;
  setOwner(place, uid, gid);
  if ((mode & fileType.mask) === fileType.regular && (mode & setIdBits) !== 0) setMode(place, mode);
}

const ownUser = process.geteuid?.();
const ownGroup = process.getegid?.();
