import { FsError } from "../fs-error.ts";
import { Bitmap } from "./bitmap.ts";
import type { FileParts } from "./file-parts.ts";
import { visitMap } from "./map-search.ts";

/** More findings than this are only counted. */
const mostFindings = 100;

/**
 * Reads and verifies all blocks and pages of a file, and that its head's counts are those of the map, which has no changed pages.
 *
 * @returns What is wrong, one line each.
 */
export function checkFile(parts: FileParts, size: number): readonly string[] {
  const { map, access, geometry, slots, epochs } = parts;
  const findings: string[] = [];
  let unnamed = 0;
  const find = (what: string) => {
    if (findings.length < mostFindings) findings.push(what);
    else unnamed += 1;
  };
  const used = new Bitmap();
  const plaintext = Buffer.alloc(geometry.blockBytes);
  const counts = { blocks: 0, pages: 0 };
  const slotsOf = new Map<number, number>();
  const count = (slot: number, epoch: number, thing: string) => {
    slotsOf.set(epoch, (slotsOf.get(epoch) ?? 0) + 1);
    if (slot > slots.highWater) find(`${thing} lies in a slot that was never given out`);
    else if (!used.add(slot)) find(`${thing} lies in a slot that holds something else`);
  };
  visitMap(map, -1, {
    page: (level, index, entry) => {
      counts.pages += 1;
      const thing = `page ${index} of level ${level} of the map`;
      count(entry.slot, entry.epoch, thing);
      return attempt(find, thing, () => map.node(level, index));
    },
    block: (block, entry) => {
      counts.blocks += 1;
      const thing = `block ${block}`;
      count(entry.slot, entry.epoch, thing);
      if (block * geometry.blockBytes >= size) find(`${thing} lies beyond the end`);
      attempt(find, thing, () => access.readInto(block, plaintext));
    },
  });
  plaintext.fill(0);
  if (findings.length === 0) {
    if (counts.blocks !== map.blocks || counts.pages !== map.pages)
      find("the head counts other blocks than the map has");
    for (const epoch of epochs.inUse)
      if (epoch.slots !== (slotsOf.get(epoch.index) ?? 0)) find("the head counts other blocks of an epoch");
  }
  if (unnamed > 0) findings.push(`and ${unnamed} more`);
  return findings;
}

function attempt(find: (what: string) => void, thing: string, read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch (cause) {
    if (!(cause instanceof FsError)) throw cause;
    find(
      cause.code === "ENOKEY"
        ? `${thing} lies under a key that is not there`
        : `${thing} can't be read: ${cause.message}`,
    );
    return false;
  }
}
