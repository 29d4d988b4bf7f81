import { FsError } from "../fs-error.ts";
import type { BackingFile, FileLayout, StoredFile, ZoneKeys } from "../stored-file.ts";
import { Committer } from "./committer.ts";
import { damage, type ReportDamage } from "./damage.ts";
import { type FileOrigin, makeParts } from "./file-parts.ts";
import { type FileHealth, type HeadFate, type HeadStamp, noStamp, unwatchedHealth } from "./head-fate.ts";
import { noHeads } from "./head-writer.ts";
import { recover } from "./recovery.ts";
import { SealedFile } from "./sealed-file.ts";

/** How a file is opened. */
export interface OpenOptions {
  /**
   * True when nothing can have been lost since the file was last closed: neither power nor the process that had it open. Damage
   * to a head is then EIO; otherwise the other head is used, if what it refers to is there, and that is reported.
   * A function is asked what may have become of a head.
   */
  readonly clean: boolean | ((stamp: HeadStamp) => HeadFate);
  readonly events: ReportDamage;
  /**
   * The keys for a file of which nothing was committed before a crash: it opens empty, which is reported. Left out, such a
   * file is EIO, as it always is with `clean`.
   */
  readonly keysWhenBlank?: ZoneKeys;
  /** What heads that are written say of the moment. */
  readonly stamp?: () => HeadStamp;
  readonly health?: FileHealth;
  /**
   * A file that was recovered gets a head of this session at once, if all of it is there: so it is recovered once.
   * @defaultValue `false`
   */
  readonly commitsRecovered?: boolean;
}

/**
 * A new file, in an empty backing file that belongs to it from now on. Its first head is written at the first commit, at the
 * latest when it is closed.
 *
 * @param fileId - 16 bytes, random, of no other file.
 */
export function createSealedFile(
  backing: BackingFile,
  fileId: Buffer,
  keys: ZoneKeys,
  layout: FileLayout,
  events: ReportDamage,
  options: Pick<OpenOptions, "stamp" | "health"> = {},
): StoredFile {
  return emptyFile(originOf(backing, fileId, layout, { events, ...options }), keys, false).file;
}

/**
 * Opens a file that `createSealedFile` made. The backing file belongs to it from now on, but not when this fails; nothing is
 * written to a damaged one.
 *
 * @param fileId - As it was made with: a file of another id is refused.
 * @param keysOf - The keys of the zone that the file's head names. Throws ENOKEY when there is no such zone, EIO when the
 *   file can't be in it.
 * @param layout - Of the volume: a file of another layout is refused.
 * @throws {FsError} EIO, reported, when neither head, or with `clean` not each, is authentic. ENOKEY without the key.
 */
export function openSealedFile(
  backing: BackingFile,
  fileId: Buffer,
  keysOf: (zoneId: Buffer) => ZoneKeys,
  layout: FileLayout,
  options: OpenOptions,
): StoredFile {
  const { clean, keysWhenBlank } = options;
  const origin = originOf(backing, fileId, layout, options);
  const recovered = recover(origin, keysOf, { clean, mayBeBlank: keysWhenBlank !== undefined });
  const { found, places, isUncertain, isClean, isWhole } = recovered;
  if (found === undefined) {
    if (keysWhenBlank === undefined) throw damage(options.events, fileId, "no head is there");
    const hasLeftover = backing.size() > 0;
    const { file, committer } = emptyFile(origin, keysWhenBlank, hasLeftover);
    if (options.commitsRecovered === true && !hasLeftover) commitNow(backing, committer, 0);
    return file;
  }
  const { parts, head } = found;
  if (!isClean) {
    parts.births.leap();
    parts.epochs.countLostSeals();
  }
  const committer = new Committer(parts, places, head, isUncertain);
  if (!isClean && isWhole && options.commitsRecovered === true) commitNow(backing, committer, head.size);
  return new SealedFile(parts, committer, head.size);
}

function originOf(
  backing: BackingFile,
  fileId: Buffer,
  layout: FileLayout,
  { events, stamp = () => noStamp, health = unwatchedHealth() }: Pick<OpenOptions, "events" | "stamp" | "health">,
): FileOrigin {
  return { backing, fileId: Buffer.from(fileId), layout, report: events, stamp, health };
}

/** @param hasLeftover - There are slots of which no head is left. */
function emptyFile(
  origin: FileOrigin,
  keys: ZoneKeys,
  hasLeftover: boolean,
): { readonly file: StoredFile; readonly committer: Committer } {
  const parts = makeParts(origin, keys, undefined, false);
  const committer = new Committer(parts, noHeads, undefined, false, hasLeftover);
  return { file: new SealedFile(parts, committer, 0), committer };
}

/** Nobody has asked for this commit: where it fails, the file is as it was, and the next change tells. */
function commitNow(backing: BackingFile, committer: Committer, size: number): void {
  const commit = () => committer.commit(size, false, true);
  try {
    if (backing.keepingTimes === undefined) commit();
    else backing.keepingTimes(commit);
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
  }
}
