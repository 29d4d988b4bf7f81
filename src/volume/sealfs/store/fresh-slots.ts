import { FsError } from "../fs-error.ts";
import type { FileParts } from "./file-parts.ts";
import { pageBytes, slotPrefixBytes } from "./geometry.ts";
import { visitMap } from "./map-search.ts";

/**
 * What of the slots that a power loss may have kept from the medium is there: all of them; or some never were written, as their
 * zeros show; or some are there, but not as they were sealed.
 */
export type FreshSlots = "whole" | "lost" | "damaged";

/** What a medium writes at once. */
const sectorBytes = 512;
/** Fewer zeros than this may be a ciphertext's own. */
const fewestZeros = 8;

/** Opens everything that was born after the last durable head. @throws {FsError} ENOKEY, and whatever but EIO a read says. */
export function examineFreshSlots(parts: FileParts): FreshSlots {
  const { map, access, births, geometry } = parts;
  const plaintext = Buffer.alloc(geometry.blockBytes);
  let answer: FreshSlots = "whole";
  const examine = (slot: number, length: number, read: () => unknown): boolean => {
    try {
      read();
      return true;
    } catch (cause) {
      if (!(cause instanceof FsError) || cause.code !== "EIO") throw cause;
      if (answer !== "lost") answer = neverWritten(parts, slot, length) ? "lost" : "damaged";
      return false;
    }
  };
  try {
    visitMap(map, births.lastDurable, {
      page: (level, index, entry) => examine(entry.slot, pageBytes, () => map.node(level, index)),
      block: (block, entry) => void examine(entry.slot, geometry.blockBytes, () => access.readInto(block, plaintext)),
    });
    return answer;
  } finally {
    plaintext.fill(0);
  }
}

/** True when a sector of the slot is zeros, or beyond the end, which no ciphertext is. */
function neverWritten({ backing, geometry }: FileParts, slot: number, mostBytes: number): boolean {
  const at = geometry.placeOf(slot);
  const bytes = Buffer.alloc(slotPrefixBytes + mostBytes);
  const read = backing.read(at, bytes);
  const length = read < slotPrefixBytes ? bytes.length : slotPrefixBytes + Math.min(bytes.readUIntBE(1, 3), mostBytes);
  if (read < length || bytes.subarray(4, slotPrefixBytes).every((byte) => byte === 0)) return true;
  for (let from = 0; from < length; ) {
    const to = Math.min(length, from + sectorBytes - ((at + from) % sectorBytes));
    if (to - from >= fewestZeros && bytes.subarray(from, to).every((byte) => byte === 0)) return true;
    from = to;
  }
  return false;
}
