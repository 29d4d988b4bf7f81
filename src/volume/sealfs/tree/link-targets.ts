import { FsError } from "../fs-error.ts";
import type { TreeKeys } from "./tree-keys.ts";

/** What sealing adds: nonce and tag. */
const overheadBytes = 28;
/** PATH_MAX without its NUL, of the backing link. */
const longestBackingTarget = 4095;

/** The longest target that a link can have: what is left of 4,095 after sealing and base64url. */
export const longestLinkTargetBytes: number = Math.floor((longestBackingTarget * 3) / 4) - overheadBytes;

/** The bytes of a target, given the length of the backing link's. */
export function linkTargetBytes(backingBytes: number): number {
  return Math.max(0, Math.floor((backingBytes * 3) / 4) - overheadBytes);
}

/** A symbolic link's target, sealed for its file id, base64url. @throws {FsError} ENAMETOOLONG */
export function sealLinkTarget(keys: TreeKeys, fileId: Buffer, target: Buffer): string {
  if (target.length > longestLinkTargetBytes) throw new FsError("ENAMETOOLONG", "a link's target");
  return keys.seal(linkContext(fileId), target).toString("base64url");
}

/** Undefined when it is not this link's. */
export function openLinkTarget(keys: TreeKeys, fileId: Buffer, backingTarget: string): Buffer | undefined {
  return keys.open(linkContext(fileId), Buffer.from(backingTarget, "base64url"));
}

function linkContext(fileId: Buffer): Buffer {
  return Buffer.concat([Buffer.from("link target\0"), fileId]);
}
