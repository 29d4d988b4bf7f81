import { FsError } from "../fs-error.ts";
import { cString, systemCall } from "./calls.ts";
import { heldPath, type InodePlace } from "./inode.ts";

/**
 * xattr(7) of an inode, never following a symbolic link. A name in a folder is reached through /proc/self/fd, since the calls
 * know no folder descriptors. Each fails with `FsError`.
 */
const mostBytes = 65_536;
/** For one call at a time. */
const room = Buffer.allocUnsafeSlow(mostBytes);

export function getAttribute(place: InodePlace, name: string): Buffer {
  const key = cString(name);
  const length =
    "descriptor" in place
      ? systemCall("fgetxattr", place.descriptor, key, room, mostBytes)
      : systemCall("held" in place ? "getxattr" : "lgetxattr", path(place), key, room, mostBytes);
  return Buffer.from(room.subarray(0, length));
}

export function listAttributes(place: InodePlace): string[] {
  const length =
    "descriptor" in place
      ? systemCall("flistxattr", place.descriptor, room, mostBytes)
      : systemCall("held" in place ? "listxattr" : "llistxattr", path(place), room, mostBytes);
  return room
    .toString("latin1", 0, length)
    .split("\0")
    .filter((name) => name !== "");
}

/** @param flags - XATTR_CREATE (1), XATTR_REPLACE (2). */
export function setAttribute(place: InodePlace, name: string, value: Buffer, flags: number): void {
  const key = cString(name);
  if ("descriptor" in place) systemCall("fsetxattr", place.descriptor, key, value, value.length, flags);
  else systemCall("held" in place ? "setxattr" : "lsetxattr", path(place), key, value, value.length, flags);
}

export function removeAttribute(place: InodePlace, name: string): void {
  const key = cString(name);
  if ("descriptor" in place) systemCall("fremovexattr", place.descriptor, key);
  else systemCall("held" in place ? "removexattr" : "lremovexattr", path(place), key);
}

function path(place: Exclude<InodePlace, { readonly descriptor: number }>): Buffer {
  if ("held" in place) return heldPath(place.held);
  if (place.folder < 0) throw new FsError("EINVAL", "attributes of a name without a folder's descriptor");
  return cString(`/proc/self/fd/${place.folder}/${place.name}`);
}
