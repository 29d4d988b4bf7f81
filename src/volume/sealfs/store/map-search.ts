import type { BlockMap } from "./block-map.ts";
import { MapEntry } from "./map-entry.ts";

/** The first block from `from` on, and before `end`, that is not a hole. */
export function nextData(map: BlockMap, from: number, end: number): number | undefined {
  return search(map, map.height + 1, 0, from, end, true);
}

/** The first block from `from` on, and before `end`, that is a hole. */
export function nextHole(map: BlockMap, from: number, end: number): number | undefined {
  const within = search(map, map.height + 1, 0, from, end, false);
  if (within !== undefined) return within;
  const capacity = map.geometry.rootEntries * map.geometry.pageEntries ** map.height;
  const beyond = Math.max(from, capacity);
  return beyond < end ? beyond : undefined;
}

function search(
  map: BlockMap,
  level: number,
  index: number,
  from: number,
  end: number,
  wantsData: boolean,
): number | undefined {
  const { pageEntries } = map.geometry;
  const span = pageEntries ** (level - 1);
  const base = index * pageEntries * span;
  const entry = new MapEntry(map.geometry);
  for (let position = Math.max(0, Math.floor((from - base) / span)); position < map.entriesOf(level); position += 1) {
    const start = base + position * span;
    if (start >= end) return undefined;
    const node = map.node(level, index);
    if (node === undefined) return undefined;
    const leadsOn = map.leadsOn(level, index, position, entry.moveTo(node, position));
    if (level === 1 || !leadsOn) {
      if (leadsOn === wantsData) return Math.max(start, from);
      continue;
    }
    const found = search(map, level - 1, index * pageEntries + position, from, end, wantsData);
    map.trim();
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Called for what a map refers to, parents first. Entries are valid for the call only. */
export interface MapVisitor {
  /** @returns Whether to go on into the page. */
  page(level: number, index: number, entry: MapEntry): boolean;
  block(block: number, entry: MapEntry): void;
}

/**
 * Visits what the map refers to and was born after a time; what is older refers to nothing younger. The map has no changed pages.
 *
 * @throws {FsError} EIO for a damaged page that the visitor wants to go into.
 */
export function visitMap(map: BlockMap, bornAfter: number, visitor: MapVisitor): void {
  visitNode(map, map.height + 1, 0, bornAfter, visitor);
}

function visitNode(map: BlockMap, level: number, index: number, bornAfter: number, visitor: MapVisitor): void {
  const entry = new MapEntry(map.geometry);
  for (let position = 0; position < map.entriesOf(level); position += 1) {
    const node = map.node(level, index);
    if (node === undefined || entry.moveTo(node, position).slot === 0 || entry.birth <= bornAfter) continue;
    const child = index * map.geometry.pageEntries + position;
    if (level === 1) visitor.block(child, entry);
    else if (visitor.page(level - 1, child, entry)) {
      visitNode(map, level - 1, child, bornAfter, visitor);
      map.trim();
    }
  }
}
