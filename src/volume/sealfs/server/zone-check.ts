import type { VolumeKeys } from "../keys/volume-keys.ts";
import type { Zone } from "../keys/zone.ts";
import type { StoredFile } from "../stored-file.ts";
import type { SealedTree } from "../tree/sealed-tree.ts";
import type { SlicedWork } from "./sliced-tasks.ts";
import { walkZone, type ZoneVisit } from "./zone-walk.ts";

const chunkBytes = 128 * 1024;
/** Larger files are read piece by piece. */
const checkedAtOnceBytes = 2 * 1024 * 1024;
const mostNamed = 5;
/** Of files that are moved all the while; only the last holds requests up. */
const mostCounts = 8;

export interface CheckedZone {
  readonly tree: SealedTree;
  readonly keys: VolumeKeys;
  readonly zone: Zone;
}

/** What a walk over a zone has found. */
export interface ZoneFindings {
  /** Bytes sealed under each generation. */
  readonly bytes: Map<number, number>;
  /** What could not be read; the first few by name. */
  readonly damaged: string[];
  damagedCount: number;
}

export function noFindings(): ZoneFindings {
  return { bytes: new Map(), damaged: [], damagedCount: 0 };
}

/** Counts the bytes under each generation of a zone by its files' heads, of open files without a name too. */
export function* countZone(checked: CheckedZone, found: ZoneFindings): Generator<number | undefined, void> {
  yield* walk(checked, found, ({ stored }) => {
    addBytes(found, stored);
    return undefined;
  });
}

/**
 * Reads and verifies every block of a zone's files, and counts. When files were moved meanwhile, all are counted again, since one may
 * have been missed; the last time without a pause.
 */
export function* checkZone(checked: CheckedZone, found: ZoneFindings): Generator<number | undefined, void> {
  let movesBefore = checked.tree.moves;
  yield* walk(checked, found, function* ({ stored }): SlicedWork {
    if (stored.allocatedBytes <= checkedAtOnceBytes) for (const what of stored.check()) tell(found, what);
    else yield* readAll(stored);
    addBytes(found, stored);
  });
  for (let counts = 1; checked.tree.moves !== movesBefore; counts += 1) {
    movesBefore = checked.tree.moves;
    found.bytes.clear();
    const again = countZone(checked, found);
    if (counts < mostCounts) yield* again;
    else while (again.next().done !== true);
  }
}

function* walk(
  { tree, keys, zone }: CheckedZone,
  found: ZoneFindings,
  visit: ZoneVisit["visit"],
): Generator<number | undefined, void> {
  yield* walkZone({
    tree,
    path: zone.path,
    isOfZone: (path) => keys.table.zoneOf(path).zoneId.equals(zone.zoneId),
    visit,
    damaged: (path, why) => tell(found, `${shown(path)}: ${why}`),
  });
  for (const { zoneId, removed, content } of tree.openContents())
    if (removed && zoneId.equals(zone.zoneId)) addBytes(found, content.stored);
}

function* readAll(stored: StoredFile): Generator<number | undefined, void> {
  const chunk = Buffer.alloc(chunkBytes);
  try {
    for (let at = stored.seekData(0); at !== undefined && at < stored.size; at = stored.seekData(at)) {
      at += Math.max(1, stored.read(at, chunk));
      yield undefined;
    }
  } finally {
    chunk.fill(0);
  }
}

function addBytes({ bytes }: ZoneFindings, stored: StoredFile): void {
  for (const [generation, length] of stored.bytesByGeneration())
    bytes.set(generation, (bytes.get(generation) ?? 0) + length);
}

function tell(found: ZoneFindings, what: string): void {
  found.damagedCount += 1;
  if (found.damaged.length < mostNamed) found.damaged.push(what);
}

export function shown(path: readonly string[]): string {
  return JSON.stringify(`/${Buffer.from(path.join("/"), "latin1").toString("utf8")}`);
}
