import { FsError } from "../fs-error.ts";
import type { ZoneKeys } from "../stored-file.ts";
import { damage } from "./damage.ts";
import { type FileOrigin, type FileParts, makeParts } from "./file-parts.ts";
import { examineFreshSlots } from "./fresh-slots.ts";
import type { Head } from "./head.ts";
import { type HeadPlaces, noHeads } from "./head-writer.ts";
import { type HeadPlace, readHeads } from "./read-heads.ts";

/** A file as its heads left it. */
export interface Recovered {
  /** Undefined when nothing that was committed is left, as after a power loss soon after the file was made. */
  readonly found: { readonly head: Head; readonly parts: FileParts } | undefined;
  readonly places: HeadPlaces;
  /** True when a sync must go before the first change, since nobody knows whether the head that was chosen is on the medium. */
  readonly isUncertain: boolean;
  readonly isClean: boolean;
}

interface Candidate {
  readonly place: number;
  readonly head: Head;
  readonly keys: ZoneKeys;
}

/**
 * Chooses the head to go on from: the one of the higher sequence whose slots are all there, else the other.
 *
 * @param wasClean - Whether nothing has been lost since the file was closed, in the session of its newest head: any damage to a
 *   head is then EIO.
 * @throws {FsError} EIO, reported. ENOKEY without the key.
 */
export function recover(
  origin: FileOrigin,
  keysOf: (zoneId: Buffer) => ZoneKeys,
  wasClean: boolean | ((session: number) => boolean),
): Recovered {
  const heads = readHeads(origin, keysOf);
  const candidates = candidatesOf(heads);
  const [newest] = candidates;
  refuseWithoutKey(heads, newest?.head.sequence ?? 0);
  const clean = typeof wasClean === "boolean" ? wasClean : newest !== undefined && wasClean(newest.head.session);
  if (clean) {
    if (newest === undefined || heads.some(({ state }) => state === "damaged" || state === "blank"))
      throw damage(origin.report, origin.fileId, "a head is damaged");
    return accept(origin, newest, heads, true, newest.head.sequence);
  }
  if (newest === undefined) {
    if (!heads.some(({ state }) => state === "blank"))
      throw damage(origin.report, origin.fileId, "both heads are damaged");
    return nothingThere(origin);
  }
  if (heads.some(({ state }) => state === "damaged" || state === "blank"))
    origin.report(origin.fileId, "a head is damaged or was cut short: the other is used");
  return chooseWhole(origin, candidates, (candidate) => accept(origin, candidate, heads, false, newest.head.sequence));
}

/**
 * The newest whole one; without any, the newest that was not merely lost, whose damaged blocks are EIO then; and if all were lost
 * before anything was durable, none.
 */
function chooseWhole(
  origin: FileOrigin,
  candidates: readonly Candidate[],
  acceptOne: (candidate: Candidate) => Recovered,
): Recovered {
  let fallback: Candidate | undefined;
  let wasDurable = false;
  for (const candidate of candidates) {
    const accepted = acceptOne(candidate);
    if (accepted.found === undefined) continue;
    const slots = examineFreshSlots(accepted.found.parts);
    if (slots === "whole") return accepted;
    disposeParts(accepted.found.parts);
    origin.report(origin.fileId, "what a head refers to is not all there");
    if (slots === "damaged") fallback ??= candidate;
    if (candidate.head.baseSequence !== 0) wasDurable = true;
  }
  if (fallback !== undefined) return acceptOne(fallback);
  if (wasDurable) throw new FsError("EIO", "no head refers to what is there");
  return nothingThere(origin);
}

function nothingThere(origin: FileOrigin): Recovered {
  origin.report(origin.fileId, "no head with what it refers to is there: nothing was ever durably committed");
  return { found: undefined, places: noHeads, isUncertain: false, isClean: false };
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
  const isOnMedium = clean && (head.durable || head.session !== origin.session);
  const isUncertain = !isOnMedium && (!clean || (head.baseSequence !== 0 && base === undefined));
  const parts = makeParts(origin, keys, head, isOnMedium);
  const durable = durablePlace(place, head, base, isOnMedium);
  return {
    found: { head, parts },
    places: { highestSequence, last: { place, sequence: head.sequence }, durable },
    isUncertain,
    isClean: clean,
  };
}

function durablePlace(place: number, head: Head, base: Head | undefined, isOnMedium: boolean): HeadPlaces["durable"] {
  if (isOnMedium) return { place, sequence: head.sequence };
  return base === undefined ? undefined : { place: 1 - place, sequence: base.sequence };
}

/** Wipes keys and pages. */
export function disposeParts(parts: FileParts): void {
  parts.epochs[Symbol.dispose]();
  parts.map.dispose();
}
