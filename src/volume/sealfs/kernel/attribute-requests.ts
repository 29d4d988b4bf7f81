import type { AttributeChange, Attributes, Caller, FileSystem } from "../file-system.ts";
import { errno, FsError } from "../fs-error.ts";
import { getattrWithHandle, largestAttributeBytes, longestAttributeNameBytes, setattrValid } from "./protocol.ts";
import type { Reply } from "./reply.ts";
import type { Request } from "./request.ts";

const nsPerSecond = 1_000_000_000;
const setUserId = 0o4000;
const setGroupId = 0o2000;
const groupExecute = 0o010;
/** S_IFMT and S_IFDIR. */
const typeMask = 0o170000;
const folderType = 0o040000;
/** XATTR_CREATE and XATTR_REPLACE. */
const knownSetFlags = 3;

/** GETATTR: fuse_getattr_in. Answered by fuse_attr_out. */
export function getattr(fileSystem: FileSystem, request: Request, reply: Reply): void {
  const flags = request.u32();
  request.skip(4);
  // Without the flag the handle means nothing.
  const withHandle = (flags & getattrWithHandle) !== 0;
  const handle = withHandle ? request.handle() : undefined;
  if (!withHandle) request.skip(8);
  request.end();
  reply.attributes(fileSystem.getAttributes(request.node, handle));
}

/** SETATTR: fuse_setattr_in. Answered by fuse_attr_out. */
export function setattr(fileSystem: FileSystem, request: Request, reply: Reply): void {
  const valid = request.u32();
  request.skip(4);
  const has = (bit: number): boolean => (valid & bit) !== 0;
  const handle = has(setattrValid.FH) ? request.handle() : undefined;
  if (handle === undefined) request.skip(8);
  const size = has(setattrValid.SIZE) ? request.offset() : undefined;
  if (size === undefined) request.skip(8);
  request.skip(8);
  const seconds = { accessed: request.i64(), modified: request.i64(), changed: request.i64() };
  const ns = { accessed: request.u32(), modified: request.u32(), changed: request.u32() };
  const mode = request.u32();
  request.skip(4);
  const uid = request.u32();
  const gid = request.u32();
  request.skip(4);
  request.end();

  const time = (which: "accessed" | "modified" | "changed"): bigint => {
    if (ns[which] >= nsPerSecond) throw new FsError("EINVAL", "a time with more than a second of nanoseconds");
    return seconds[which] * BigInt(nsPerSecond) + BigInt(ns[which]);
  };
  const timeOrNow = (which: "accessed" | "modified", nowBit: number) => (has(nowBit) ? "now" : time(which));
  const change: AttributeChange = {
    ...(has(setattrValid.MODE) && { mode: mode & 0o7777 }),
    ...(has(setattrValid.UID) && { uid }),
    ...(has(setattrValid.GID) && { gid }),
    ...(size !== undefined && { size }),
    ...(has(setattrValid.ATIME) && { accessedNs: timeOrNow("accessed", setattrValid.ATIME_NOW) }),
    // ftruncate(2) is a modification even when the size stays; the kernel leaves that to the file system.
    ...(size !== undefined && handle !== undefined && { modifiedNs: "now" as const }),
    ...(has(setattrValid.MTIME) && { modifiedNs: timeOrNow("modified", setattrValid.MTIME_NOW) }),
    ...(has(setattrValid.CTIME) && { changedNs: time("changed") }),
  };
  // chown(2) that names neither owner nor group takes the set-id bits away all the same, and is the only change without any field.
  const isEmptyChown = Object.keys(change).length === 0;
  if ((has(setattrValid.KILL_SUIDGID) || isEmptyChown) && change.mode === undefined) {
    const kept = modeWithoutSetIds(fileSystem.getAttributes(request.node, handle), request.caller);
    reply.attributes(
      fileSystem.setAttributes(request.node, kept === undefined ? change : { ...change, mode: kept }, handle),
    );
    return;
  }
  reply.attributes(fileSystem.setAttributes(request.node, change, handle));
}

/** Takes the set-id bits off a file that is written, as the kernel's own file_remove_privs() does. */
export function killSetIds(fileSystem: FileSystem, request: Request, handle: number): void {
  const mode = modeWithoutSetIds(fileSystem.getAttributes(request.node, handle), request.caller);
  if (mode !== undefined) fileSystem.setAttributes(request.node, { mode }, handle);
}

/**
 * The rule of setattr_should_drop_sgid(): set-group-id without group execution stays for root and for members of the group. Of the
 * caller's groups only one is known here, so a member by another of them loses the bit: the careful side.
 *
 * @returns Undefined when nothing changes.
 */
function modeWithoutSetIds({ mode, gid }: Attributes, caller: Caller): number | undefined {
  if ((mode & typeMask) === folderType) return undefined;
  const keepsGroup = (mode & groupExecute) === 0 && (caller.uid === 0 || caller.gid === gid);
  const dropped = mode & (keepsGroup ? setUserId : setUserId | setGroupId);
  return dropped === 0 ? undefined : mode & 0o7777 & ~dropped;
}

/** What the kernel itself asks for before the first write to each file. No file has any: `security.` can't be set. */
const capabilities = "security.capability";

/** GETXATTR: fuse_getxattr_in, name. Size 0 asks how large the value is. */
export function getxattr(fileSystem: FileSystem, request: Request, reply: Reply): void {
  const size = request.u32();
  request.skip(4);
  const name = attributeName(request);
  request.end();
  if (name === capabilities) reply.refusal = errno.ENODATA;
  else answerSized(reply, size, fileSystem.getExtendedAttribute(request.node, name));
}

/** LISTXATTR: fuse_getxattr_in. Names end with a NUL byte each. */
export function listxattr(fileSystem: FileSystem, request: Request, reply: Reply): void {
  const size = request.u32();
  request.skip(4);
  request.end();
  const names = fileSystem.listExtendedAttributes(request.node);
  answerSized(reply, size, Buffer.from(names.map((name) => `${name}\0`).join(""), "latin1"));
}

function answerSized(reply: Reply, size: number, value: Buffer): void {
  if (value.length > largestAttributeBytes) throw new FsError("ERANGE", "more than a caller can take");
  if (size === 0) {
    reply.u32(value.length);
    reply.u32(0);
    return;
  }
  if (value.length > size) throw new FsError("ERANGE");
  reply.bytes(value);
}

/** SETXATTR: fuse_setxattr_in in its short form (SETXATTR_EXT is not negotiated), name, value. */
export function setxattr(fileSystem: FileSystem, request: Request): void {
  const size = request.u32();
  const flags = request.u32();
  const name = attributeName(request);
  const value = request.bytes(size);
  request.end();
  if (size > largestAttributeBytes || (flags & ~knownSetFlags) !== 0) throw new FsError("EINVAL", "setxattr");
  fileSystem.setExtendedAttribute(request.node, name, value, flags);
}

export function removexattr(fileSystem: FileSystem, request: Request): void {
  const name = attributeName(request);
  request.end();
  fileSystem.removeExtendedAttribute(request.node, name);
}

function attributeName(request: Request): string {
  return request.text(longestAttributeNameBytes).toString("latin1");
}
