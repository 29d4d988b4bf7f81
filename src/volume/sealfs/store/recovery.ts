import { FsError } from "../fs-error.ts";
import type { ZoneKeys } from "../stored-file.ts";
import { damage } from "./damage.ts";
import { type FileOrigin, type FileParts, makeParts } from "./file-parts.ts";
import type { Head } from "./head.ts";
import { type HeadPlaces, noHeads } from "./head-writer.ts";
import { visitMap } from "./map-search.ts";
import { type HeadPlace, readHeads } from "./read-heads.ts";

/** A file as its heads left it. */
export interface Recovered {
  /** Undefined when nothing that was committed is left, as after a power loss soon after the file was made. */
  readonly found: { readonly head: Head; readonly parts: FileParts } | undefined;
  readonly places: HeadPlaces;
  /** True when a sync must go before the first change, since nobody knows whether the head that was chosen is on the medium. */
  readonly isUncertain: boolean;
}

interface Candidate {
  readonly place: number;
  readonly head: Head;
  readonly keys: ZoneKeys;
}

/**
 * Chooses the head to go on from: the one of the higher sequence whose slots are all there, else the other.
 *
 * @param clean - True when the file was closed and nothing has been lost since: any damage to a head is then EIO.
 * @throws {FsError} EIO, reported. ENOKEY without the key.
 */
export function recover(origin: FileOrigin, keysOf: (zoneId: Buffer) => ZoneKeys, clean: boolean): Recovered {
  const heads = readHeads(origin, keysOf);
  const candidates = candidatesOf(heads);
  const [newest] = candidates;
  refuseWithoutKey(heads, newest?.head.sequence ?? 0);
  if (clean) {
    if (newest === undefined || heads.some(({ state }) => state === "damaged" || state === "blank"))
      throw damage(origin.report, origin.fileId, "a head is damaged");
    return accept(origin, newest, heads, true, newest.head.sequence);
  }
  if (newest === undefined) {
    if (!heads.some(({ state }) => state === "blank"))
      throw damage(origin.report, origin.fileId, "both heads are damaged");
    origin.report(origin.fileId, "no head is there: nothing was ever durably committed");
    return { found: undefined, places: noHeads, isUncertain: false };
  }
  if (heads.some(({ state }) => state === "damaged" || state === "blank"))
    origin.report(origin.fileId, "a head is damaged or was cut short: the other is used");
  for (const candidate of candidates) {
    const accepted = accept(origin, candidate, heads, false, newest.head.sequence);
    if (accepted.found !== undefined && isWhole(accepted.found.parts)) return accepted;
    if (accepted.found !== undefined) disposeParts(accepted.found.parts);
    origin.report(origin.fileId, "what the last head refers to is not all there");
  }
  throw new FsError("EIO", "no head refers to what is there");
}

/** Valid heads, the higher sequence first. */
function candidatesOf(heads: readonly HeadPlace[]): readonly Candidate[] {
  const candidates: Candidate[] = [];
  heads.forEach((found, place) => {
    if (found.state === "valid") candidates.push({ place, head: found.head, keys: found.keys });
  });
  return candidates.sort((one, other) => other.head.sequence - one.head.sequence);
}

/** A head that can't be opened for want of its key does not give way to an older one. */
function refuseWithoutKey(heads: readonly HeadPlace[], newestSequence: number): void {
  for (const found of heads) if (found.state === "keyless" && found.sequence > newestSequence) throw found.cause;
}

function accept(
  origin: FileOrigin,
  { place, head, keys }: Candidate,
  heads: readonly HeadPlace[],
  clean: boolean,
  highestSequence: number,
): Recovered {
  const other = heads[1 - place];
  const base = other?.state === "valid" && other.head.sequence === head.baseSequence ? other.head : undefined;
  const isOnMedium = clean && head.durable;
  const isUncertain = !isOnMedium && (head.durable || (head.baseSequence !== 0 && base === undefined));
  const parts = makeParts(origin, keys, head, isOnMedium);
  const durable = durablePlace(place, head, base, isOnMedium);
  return {
    found: { head, parts },
    places: { highestSequence, last: { place, sequence: head.sequence }, durable },
    isUncertain: isUncertain || highestSequence !== head.sequence,
  };
}

function durablePlace(place: number, head: Head, base: Head | undefined, isOnMedium: boolean): HeadPlaces["durable"] {
  if (isOnMedium) return { place, sequence: head.sequence };
  return base === undefined ? undefined : { place: 1 - place, sequence: base.sequence };
}

/** Opens everything that a power loss may have kept from the medium. */
function isWhole(parts: FileParts): boolean {
  const { map, access, births, geometry } = parts;
  const scratch = Buffer.alloc(geometry.blockBytes);
  try {
    visitMap(map, births.lastDurable, {
      page: () => true,
      block: (block) => void access.readInto(block, scratch),
    });
    return true;
  } catch (cause) {
    if (cause instanceof FsError && cause.code === "EIO") return false;
    throw cause;
  } finally {
    scratch.fill(0);
  }
}

/** Wipes keys and pages. */
export function disposeParts(parts: FileParts): void {
  parts.epochs[Symbol.dispose]();
  parts.map.dispose();
}
