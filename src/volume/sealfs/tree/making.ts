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
import { statusAt, statusOf } from "../system/file-status.ts";
import { type InodePlace, setMode, setOwner, statusOfInode } from "../system/inode.ts";
import type { TreeEntry } from "./folder-index.ts";
import { sealLinkTarget } from "./link-targets.ts";
import type { TreeZone } from "./tree-keys.ts";
import type { TreeNode } from "./tree-node.ts";
import type { TreeState } from "./tree-state.ts";

/** How entries come to be: each is one system call of the backing folder that makes it under its bound name. */

const fileIdBytes = 16;
const firstSequence = 1n;
const setGroupBit = 0o2000;
const setIdBits = 0o6000;

/** Who becomes the owner, and the permissions with the type bits. */
export interface NewInode {
  readonly mode: number;
  readonly caller: Caller;
}

/** @returns The node, with its content open but held by nobody. @throws {FsError} */
export function makeFile(state: TreeState, folder: TreeNode, name: string, { mode, caller }: NewInode): TreeNode {
  const id = kernelRandomBytes(fileIdBytes);
  return makeEntry(state, folder, name, fileType.regular, id, (descriptor, backingName) => {
    const content = state.contents.create(descriptor, backingName, mode, id, folder.zone);
    const place = { descriptor: content.file.descriptor };
    const added = (entry: TreeEntry): TreeNode => {
      const node = state.nodes.add({ folder, entry }, entry.inode, folder.zone);
      state.contents.adopt(node, content);
      return node;
    };
    try {
      give(state, folder, place, mode, caller);
      return { inode: statusOf(place.descriptor).inode, added };
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
): TreeNode {
  const id = kernelRandomBytes(fileIdBytes);
  return makeEntry(state, folder, name, mode & fileType.mask, id, (descriptor, backingName) => {
    makeSpecial(descriptor, backingName, mode, device);
    return ownedByName(state, folder, descriptor, backingName, mode, caller, folder.zone);
  });
}

/** @throws {FsError} */
export function makeSymlink(
  state: TreeState,
  folder: TreeNode,
  name: string,
  target: Buffer,
  caller: Caller,
): TreeNode {
  const id = kernelRandomBytes(fileIdBytes);
  const backingTarget = sealLinkTarget(state.keys, id, target);
  return makeEntry(state, folder, name, fileType.symlink, id, (descriptor, backingName) => {
    makeBackingSymlink(descriptor, backingName, backingTarget);
    return ownedByName(state, folder, descriptor, backingName, 0, caller, folder.zone);
  });
}

/** In a zone of its own where a rule says so. @throws {FsError} */
export function makeFolder(state: TreeState, folder: TreeNode, name: string, { mode, caller }: NewInode): TreeNode {
  const id = kernelRandomBytes(fileIdBytes);
  return makeEntry(state, folder, name, fileType.directory, id, (descriptor, backingName) => {
    const zone = state.keys.zoneForNewFolder([...folder.path(), name]);
    makeBackingFolder(descriptor, backingName, mode);
    return ownedByName(state, folder, descriptor, backingName, mode, caller, zone);
  });
}

/** One more name for a file. @throws {FsError} EPERM for a folder, EXDEV from another zone, ENOENT for a removed file. */
export function makeLink(state: TreeState, node: TreeNode, folder: TreeNode, name: string): TreeEntry {
  if (node.isFolder) throw new FsError("EPERM", "a link to a folder");
  if (!node.zone.zoneId.equals(folder.zone.zoneId)) throw new FsError("EXDEV");
  const [place] = node.places;
  if (place === undefined) throw new FsError("ENOENT", "a file without a name");
  const from = state.folders.of(place.folder);
  makeEntry(state, folder, name, node.type, node.idBytes, (descriptor, backingName) => {
    linkFile(from, place.entry.backingName, descriptor, backingName);
    const added = (entry: TreeEntry): TreeNode => {
      state.nodes.addPlace(node, { folder, entry });
      return node;
    };
    return { inode: node.inode, added };
  });
  return state.entry(folder, name);
}

interface Made {
  readonly inode: bigint;
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
): TreeNode {
  if (state.entryIfAny(folder, name) !== undefined) throw new FsError("EEXIST");
  const descriptor = state.folders.of(folder);
  const shown = state.names.shown(folder.idBytes, name);
  const fileId = id.toString("base64url");
  const parsed = { shown, fileId, sequence: firstSequence };
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
  const entry: TreeEntry = { name, backingName, fileId, sequence: firstSequence, type, inode: made.inode };
  state.insert(folder, entry);
  return made.added(entry);
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
  folder: TreeNode,
  descriptor: number,
  backingName: string,
  mode: number,
  caller: Caller,
  zone: TreeZone,
): Made {
  give(state, folder, { folder: descriptor, name: backingName }, mode, caller);
  const { inode } = statusAt(descriptor, backingName);
  return { inode, added: (entry) => state.nodes.add({ folder, entry }, inode, zone) };
}

/** Makes the caller the owner; the group is the folder's where that says so (the backing folder has seen to it). */
function give(state: TreeState, folder: TreeNode, place: InodePlace, mode: number, caller: Caller): void {
  const inheritsGroup = (statusOfInode(state.placeOf(folder)).mode & setGroupBit) !== 0;
  const uid = caller.uid === process.geteuid?.() ? undefined : caller.uid;
  const gid = inheritsGroup || caller.gid === process.getegid?.() ? undefined : caller.gid;
  if (uid === undefined && gid === undefined) return;
  setOwner(place, uid, gid);
  if ((mode & fileType.mask) === fileType.regular && (mode & setIdBits) !== 0) setMode(place, mode);
}
