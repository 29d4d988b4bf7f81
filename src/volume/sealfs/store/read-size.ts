import type { BackingFile, FileLayout, ZoneKeys } from "../stored-file.ts";
import type { HeadFate, HeadStamp } from "./head-fate.ts";
import { readHeads } from "./read-heads.ts";

/** How large a file is. */
export interface FileSize {
  /** Of the plaintext. */
  readonly bytes: number;
  /** As `StoredFile.allocatedBytes`. */
  readonly allocatedBytes: number;
}

/**
 * What `openSealedFile` would say of a file's size, without opening it: for who only looks at it. Both heads must be authentic, and
 * the newer one of a session in which nothing was lost.
 *
 * @returns Undefined for any other file: it is to be opened, which tells what is wrong with it.
 */
export function readSealedSize(
  backing: BackingFile,
  fileId: Buffer,
  keysOf: (zoneId: Buffer) => ZoneKeys,
  layout: FileLayout,
  fateOf: (stamp: HeadStamp) => HeadFate,
): FileSize | undefined {
  const [first, second] = readHeads({ backing, fileId, layout }, keysOf);
  if (first.state !== "valid" || second.state !== "valid") return undefined;
  const [newer, older] =
    first.head.sequence > second.head.sequence ? [first.head, second.head] : [second.head, first.head];
  const fate = fateOf(newer);
  if ((fate !== "closed" && fate !== "current") || fateOf(older) === "foreign") return undefined;
  return { bytes: newer.size, allocatedBytes: allocatedBytesOf(newer.size, newer.blocks * layout.blockBytes) };
}

/** What stat(2) shows: no more than a file of this size without holes has. */
export function allocatedBytesOf(size: number, inBlocks: number): number {
  return Math.min(inBlocks, Math.ceil(size / 4096) * 4096);
}
