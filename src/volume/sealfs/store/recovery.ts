import type { FsError } from "../fs-error.ts";
import type { ZoneKeys } from "../stored-file.ts";
import { damage } from "./damage.ts";
import { type FileOrigin, type FileParts, makeParts } from "./file-parts.ts";
import { examineFreshSlots } from "./fresh-slots.ts";
import { generationOf, type Head } from "./head.ts";
import type { HeadFate, HeadStamp } from "./head-fate.ts";
import { type HeadPlaces, noHeads } from "./head-writer.ts";
import { type HeadPlace, readHeads } from "./read-heads.ts";

/** A file as its heads left it. */
export interface Recovered {
  /** Undefined when nothing that was committed is left, as after a crash soon after the file was made. */
  readonly found: { readonly head: Head; readonly parts: FileParts } | undefined;
  readonly places: HeadPlaces;
  /** True when a sync must go before the first change, since nobody knows whether the head that was chosen is on the medium. */
  readonly isUncertain: boolean;
  /** Nothing can have been lost. */
  readonly isClean: boolean;
  /** As far as was looked at, all that the head refers to is there. */
  readonly isWhole: boolean;
}

export interface RecoveryOptions {
  /** True: nothing was lost, and any damage to a head is EIO. False: whatever a power loss can do may have been done. */
  readonly clean: boolean | ((stamp: HeadStamp) => HeadFate);
  /** The file may never have been committed: it was made in a session that did not end well. */
  readonly mayBeBlank: boolean;
}

interface Candidate {
  readonly place: number;
  readonly head: Head;
  readonly keys: ZoneKeys;
}

/**
 * Chooses the head to go on from. Changes nothing in the backing file.
 *
 * @throws {FsError} EIO, reported. ENOKEY without the key.
 */
export function recover(
  origin: FileOrigin,
  keysOf: (zoneId: Buffer) => ZoneKeys,
  { clean, mayBeBlank }: RecoveryOptions,
): Recovered {
  const heads = readHeads(origin, keysOf);
  const candidates = candidatesOf(heads);
  const [newest] = candidates;
  refuseWithoutKey(origin, heads, newest);
  if (newest === undefined) return withoutHead(origin, heads, mayBeBlank && clean !== true);
  const fates = candidates.map(({ head }) => fateOf(origin, head, clean));
  if (fates.includes("foreign"))
    throw damage(origin.report, origin.fileId, "a head is newer than the key table: an older key table was put back");
  const [fate = "unproven"] = fates;
  if (fate !== "synced" && fate !== "unproven") refuseOtherKey(origin, heads);
  const isDamaged = heads.some(({ state }) => state !== "valid");
  if (isDamaged && fate !== "synced" && fate !== "unproven" && !(fate === "killed" && isHalfOfFirst(newest, heads)))
    throw damage(origin.report, origin.fileId, "a head is damaged");
  if (isDamaged) origin.report(origin.fileId, "a head is damaged or was cut short: the other is used", "recovered");
  if (fate !== "unproven") return accept(origin, newest, heads, fate, newest.head.sequence, true);
  return chooseWhole(origin, candidates, fates, heads, mayBeBlank);
}

function fateOf(origin: FileOrigin, head: Head, clean: RecoveryOptions["clean"]): HeadFate {
  if (typeof clean === "function") return clean(head);
  if (!clean) return "unproven";
  return head.session === origin.stamp().session ? "current" : "closed";
}

/** The first two heads are written in one go, which a kill may cut between two pages. */
function isHalfOfFirst({ place, head }: Candidate, heads: readonly HeadPlace[]): boolean {
  return place === 0 && head.sequence === 1 && heads[1]?.state === "blank";
}

/**
 * The first head goes to both places at once, and later no write touches the last durable one. So where each place is blank, or
 * has blank sectors, nothing was ever durable; and without a head what the slots hold opens for nobody.
 */
function withoutHead(origin: FileOrigin, heads: readonly HeadPlace[], mayBeBlank: boolean): Recovered {
  const isBlank = heads.every(({ state }) => state === "blank");
  const isTorn = heads.every(({ state }) => state === "blank" || state === "torn");
  if (mayBeBlank && (isBlank || isTorn)) return nothingThere(origin);
  throw damage(origin.report, origin.fileId, isBlank ? "no head is there" : "both heads are damaged");
}

/**
 * The newest whole one, where one that a later head proves durable needs no proof. Without any, the newest that was not merely
 * lost, whose damaged blocks are EIO then; and if all were lost before anything was durable, none.
 */
function chooseWhole(
  origin: FileOrigin,
  candidates: readonly Candidate[],
  fates: readonly HeadFate[],
  heads: readonly HeadPlace[],
  mayBeBlank: boolean,
): Recovered {
  const newest = candidates[0]?.head;
  const highest = newest?.sequence ?? 0;
  let fallback: Candidate | undefined;
  for (const [at, candidate] of candidates.entries()) {
    const isProven = fates[at] !== "unproven" || (at > 0 && newest?.baseSequence === candidate.head.sequence);
    const accepted = accept(origin, candidate, heads, isProven ? "synced" : "unproven", highest, true);
    if (accepted.found === undefined || isProven) return accepted;
    const slots = examineFreshSlots(accepted.found.parts);
    if (slots === "whole") return accepted;
    disposeParts(accepted.found.parts);
    origin.report(origin.fileId, "what a head refers to is not all there", "recovered");
    if (slots === "damaged") fallback ??= candidate;
  }
  const wasDurable = candidates.some(({ head }) => head.baseSequence !== 0);
  if (fallback === undefined && mayBeBlank && !wasDurable) return nothingThere(origin);
  const left = fallback ?? candidates[0];
  if (left === undefined) return nothingThere(origin);
  return accept(origin, left, heads, "unproven", highest, false);
}

function nothingThere(origin: FileOrigin): Recovered {
  origin.report(
    origin.fileId,
    "no head with what it refers to is there: nothing was ever durably committed",
    "recovered",
  );
  return { found: undefined, places: noHeads, isUncertain: false, isClean: false, isWhole: true };
}

/** Valid heads, the higher sequence first. */
function candidatesOf(heads: readonly HeadPlace[]): readonly Candidate[] {
  const candidates: Candidate[] = [];
  heads.forEach((found, place) => {
    if (found.state === "valid") candidates.push({ place, head: found.head, keys: found.keys });
  });
  return candidates.sort((one, other) => other.head.sequence - one.head.sequence);
}

/**
 * A head that can't be opened for want of its key does not give way to an older one. Where that one's key is there, the zone was
 * not destroyed: a generation that it lacks was named by somebody else.
 */
function refuseWithoutKey(origin: FileOrigin, heads: readonly HeadPlace[], newest: Candidate | undefined): void {
  for (const found of heads)
    if (found.state === "keyless" && found.sequence > (newest?.head.sequence ?? 0)) {
      if (newest !== undefined) reportOtherKey(origin, found.cause);
      throw found.cause;
    }
}

/** Not where the key is there and nobody opens it at the moment: that is no damage. */
function reportOtherKey({ report, fileId }: FileOrigin, noKey: FsError): void {
  const { code } = (noKey.cause ?? {}) as { readonly code?: unknown };
  if (code === "GENERATION_ABSENT") report(fileId, "a head names a key that is not there", "refused");
}

/**
 * What a head says of its key is not authentic where the key is not there: one that was written over the newest must not make the
 * other count. Before a generation is destroyed no head lies under it.
 */
function refuseOtherKey(origin: FileOrigin, heads: readonly HeadPlace[]): void {
  for (const found of heads)
    if (found.state === "keyless") {
      reportOtherKey(origin, found.cause);
      throw found.cause;
    }
}

function accept(
  origin: FileOrigin,
  { place, head, keys }: Candidate,
  heads: readonly HeadPlace[],
  fate: HeadFate,
  highestSequence: number,
  isWhole: boolean,
): Recovered {
  const other = heads[1 - place];
  const base = other?.state === "valid" && other.head.sequence === head.baseSequence ? other.head : undefined;
  const isClean = fate === "closed" || fate === "current";
  const isOnMedium = fate === "closed" || fate === "synced" || (fate === "current" && head.durable);
  const isUncertain = !isOnMedium && (!isClean || (head.baseSequence !== 0 && base === undefined));
  const parts = makeParts(origin, keys, head, isOnMedium);
  const durable = durablePlace(place, head, base, isOnMedium);
  return {
    found: { head, parts },
    places: {
      highestSequence,
      last: { place, sequence: head.sequence },
      durable,
      generations: heads.map((found) => (found.state === "valid" ? generationOf(found.head) : undefined)),
    },
    isUncertain,
    isClean,
    isWhole,
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
