import { sealedOverheadBytes } from "../block-cipher.ts";
import type { FileLayout } from "../stored-file.ts";

/** Each of the two heads, at 0 and at 4,096. */
export const headBytes = 4096;
/** Where slot 1 begins; slot 0 means "no slot". */
export const slotsBegin: number = 2 * headBytes;
/** The plaintext of a page of the map, whatever the size of a block. */
export const pageBytes = 4096;
/** Before a slot's ciphertext: epoch and length (4), nonce, tag. */
export const slotPrefixBytes: number = 4 + sealedOverheadBytes;
/** The largest size of a file: 4 PiB. Slot numbers (40 bits) last longer, and sums of places stay whole numbers. */
export const mostFileBytes: number = 2 ** 52;
/** Slot numbers have 40 bits. */
export const mostSlots: number = 2 ** 40 - 1;

const plainEntryBytes = 12;
const taggedEntryBytes = 28;

/** Of the layout that was asked for last: all files of a volume have the same. */
let latest: { readonly layout: FileLayout; readonly geometry: Geometry } | undefined;

/** Sizes and places within a backing file of this layout. @throws {RangeError} As {@link Geometry}. */
export function geometryOf(layout: FileLayout): Geometry {
  if (latest?.layout !== layout) latest = { layout, geometry: new Geometry(layout) };
  return latest.geometry;
}

/** Sizes and places within a backing file of one layout. */
export class Geometry {
  readonly blockBytes: number;
  /** From one slot to the next. */
  readonly strideBytes: number;
  /** True when each entry of the map holds the tag of what it points to. */
  readonly tagged: boolean;
  readonly entryBytes: number;
  /** Entries of a page of the map. */
  readonly pageEntries: number;
  /** Entries of the map's root, which lies in the head. */
  readonly rootEntries: number;

  /** @throws {RangeError} For a block size that is not a power of two from 4,096 to 65,536. */
  constructor(layout: FileLayout) {
    if (![4096, 8192, 16384, 32768, 65536].includes(layout.blockBytes))
      throw new RangeError(`a block of ${layout.blockBytes} bytes is not a power of two from 4,096 to 65,536`);
    this.blockBytes = layout.blockBytes;
    this.strideBytes = layout.blockBytes + slotPrefixBytes;
    this.tagged = layout.integrity === "tree";
    this.entryBytes = this.tagged ? taggedEntryBytes : plainEntryBytes;
    this.pageEntries = Math.floor(pageBytes / this.entryBytes);
    this.rootEntries = this.tagged ? 120 : 256;
  }

  /** Where a slot lies in the backing file. */
  placeOf(slot: number): number {
    return slotsBegin + (slot - 1) * this.strideBytes;
  }

  /** How many bytes a slot of this level may hold: 0 is a block, above are pages of the map. */
  capacity(level: number): number {
    return level === 0 ? this.blockBytes : pageBytes;
  }
}
