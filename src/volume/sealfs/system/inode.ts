import { at, cString, systemCall } from "./calls.ts";
import { type FileStatus, statusAt, statusOf } from "./file-status.ts";

/**
 * Where an inode is reached: by its name in a folder, by an open descriptor (never O_PATH), or by an O_PATH descriptor, `held`, which
 * may be a folder's or a symbolic link's as well: what is put under its name meanwhile is not reached.
 */
export type InodePlace =
  | { readonly folder: number; readonly name: string }
  | { readonly descriptor: number }
  | { readonly held: number };

/** A time to set: nanoseconds since 1970, the time of the call, or left as it is. */
export type NewTime = bigint | "now" | undefined;

export function statusOfInode(place: InodePlace): FileStatus {
  if ("held" in place) return statusOf(place.held);
  return "descriptor" in place ? statusOf(place.descriptor) : statusAt(place.folder, place.name);
}

/** The name of what an O_PATH descriptor holds, for calls that take no such descriptor. They follow it, and nothing else. */
export function heldPath(descriptor: number): Buffer {
  return cString(`/proc/self/fd/${descriptor}`);
}

const noName = cString("");

/** @throws {FsError} EOPNOTSUPP for a symbolic link. */
export function setMode(place: InodePlace, mode: number): void {
  if ("held" in place) systemCall("fchmodat", at.currentFolder, heldPath(place.held), mode & 0o7777, 0);
  else if ("descriptor" in place) systemCall("fchmod", place.descriptor, mode & 0o7777);
  else systemCall("fchmodat", place.folder, cString(place.name), mode & 0o7777, at.symlinkNoFollow);
}

const unchanged = 0xffff_ffff;

/** Of a symbolic link itself, where the name is one. What is undefined stays. */
export function setOwner(place: InodePlace, uid: number | undefined, gid: number | undefined): void {
  const owner = [uid ?? unchanged, gid ?? unchanged] as const;
  if ("held" in place) systemCall("fchownat", place.held, noName, ...owner, at.emptyPath);
  else if ("descriptor" in place) systemCall("fchown", place.descriptor, ...owner);
  else systemCall("fchownat", place.folder, cString(place.name), ...owner, at.symlinkNoFollow);
}

const times = Buffer.alloc(32);
const timeNow = 0x3fff_ffffn;
const timeOmitted = 0x3fff_fffen;

/** utimensat(2), of a symbolic link itself, where the name is one. */
export function setTimes(place: InodePlace, accessed: NewTime, modified: NewTime): void {
  putTime(0, accessed);
  putTime(16, modified);
  if ("held" in place) systemCall("utimensat", place.held, noName, times, at.emptyPath);
  else if ("descriptor" in place) systemCall("futimens", place.descriptor, times);
  else systemCall("utimensat", place.folder, cString(place.name), times, at.symlinkNoFollow);
}

function putTime(offset: number, time: NewTime): void {
  const special = time === undefined ? timeOmitted : time === "now" ? timeNow : undefined;
  const ns = typeof time === "bigint" ? time : 0n;
  const nanoseconds = special ?? ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  times.writeBigInt64LE(special === undefined ? (ns - nanoseconds) / 1_000_000_000n : 0n, offset);
  times.writeBigInt64LE(nanoseconds, offset + 8);
}

const clock = Buffer.alloc(16);
const coarseRealTime = 5;

/** The time that file systems stamp files with (CLOCK_REALTIME_COARSE), in nanoseconds since 1970. */
export function fileTimeNs(): bigint {
  systemCall("clockGettime", coarseRealTime, clock);
  return clock.readBigInt64LE(0) * 1_000_000_000n + clock.readBigInt64LE(8);
}
