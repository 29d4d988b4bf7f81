import type { Entry, FileSystem } from "../file-system.ts";
import { FsError } from "../fs-error.ts";
import { longestTargetBytes, openKeepsCache } from "./protocol.ts";
import type { Reply } from "./reply.ts";
import type { Request } from "./request.ts";

const typeBits = 0o170000;
const permissionBits = 0o7777;
const regularFile = 0o100000;
const directory = 0o040000;
/** RENAME_NOREPLACE and RENAME_EXCHANGE; RENAME_WHITEOUT is for overlay file systems. */
const knownRenameFlags = 3;

/** LOOKUP. A name that isn't there is an answer that the kernel may keep. */
export function lookup(fileSystem: FileSystem, request: Request, reply: Reply): void {
  const name = request.name();
  request.end();
  let entry: Entry;
  try {
    entry = fileSystem.lookup(request.node, name);
  } catch (error) {
    if (!(error instanceof FsError) || error.code !== "ENOENT") throw error;
    reply.noEntry();
    return;
  }
  reply.entry(entry);
}

/** SYMLINK: the name, then the target. */
export function symlink(fileSystem: FileSystem, request: Request, reply: Reply): void {
  const name = request.name();
  const target = Buffer.from(request.text(longestTargetBytes));
  request.end();
  reply.entry(fileSystem.makeSymlink(request.node, name, target, request.caller));
}

/** MKNOD: fuse_mknod_in, name. */
export function mknod(fileSystem: FileSystem, request: Request, reply: Reply): void {
  const mode = request.u32();
  const device = request.u32();
  request.skip(8);
  const name = request.name();
  request.end();
  const type = mode & typeBits;
  if (type === directory) throw new FsError("EINVAL", "MKNOD of a folder");
  const full = (type === 0 ? regularFile : type) | (mode & permissionBits);
  reply.entry(fileSystem.makeNode(request.node, name, full, device, request.caller));
}

/** MKDIR: fuse_mkdir_in, name. */
export function mkdir(fileSystem: FileSystem, request: Request, reply: Reply): void {
  const mode = request.u32();
  request.skip(4);
  const name = request.name();
  request.end();
  reply.entry(fileSystem.makeDirectory(request.node, name, mode & permissionBits, request.caller));
}

export function unlink(fileSystem: FileSystem, request: Request): void {
  const name = request.name();
  request.end();
  fileSystem.unlink(request.node, name);
}

export function rmdir(fileSystem: FileSystem, request: Request): void {
  const name = request.name();
  request.end();
  fileSystem.removeDirectory(request.node, name);
}

/** RENAME: fuse_rename_in, old name, new name. */
export function rename(fileSystem: FileSystem, request: Request): void {
  const newParent = request.nodeNumber();
  renameTo(fileSystem, request, newParent, 0);
}

/** RENAME2: fuse_rename2_in, old name, new name. */
export function rename2(fileSystem: FileSystem, request: Request): void {
  const newParent = request.nodeNumber();
  const flags = request.u32();
  request.skip(4);
  if ((flags & ~knownRenameFlags) !== 0 || flags === knownRenameFlags)
    throw new FsError("EINVAL", "rename flags that are not known");
  renameTo(fileSystem, request, newParent, flags);
}

function renameTo(fileSystem: FileSystem, request: Request, newParent: number, flags: number): void {
  const name = request.name();
  const newName = request.name();
  request.end();
  fileSystem.rename(request.node, name, newParent, newName, flags);
}

/** LINK: fuse_link_in, new name; the header's node is the new folder. */
export function link(fileSystem: FileSystem, request: Request, reply: Reply): void {
  const node = request.nodeNumber();
  const name = request.name();
  request.end();
  reply.entry(fileSystem.link(node, request.node, name));
}

/** CREATE: fuse_create_in, name. Answered by fuse_entry_out, fuse_open_out. */
export function create(fileSystem: FileSystem, request: Request, reply: Reply): void {
  const flags = request.u32();
  const mode = request.u32();
  request.skip(8);
  const name = request.name();
  request.end();
  const full = regularFile | (mode & permissionBits);
  const made = fileSystem.create(request.node, name, full, flags, request.caller);
  reply.entry(made);
  reply.opened(made.handle, openKeepsCache);
}
