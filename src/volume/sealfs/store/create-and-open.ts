import type { BackingFile, FileLayout, StoredFile, ZoneKeys } from "../stored-file.ts";
import { Committer } from "./committer.ts";
import { damage, type ReportDamage } from "./damage.ts";
import { makeParts } from "./file-parts.ts";
import { noHeads } from "./head-writer.ts";
import { recover } from "./recovery.ts";
import { SealedFile } from "./sealed-file.ts";

/** How a file is opened. */
export interface OpenOptions {
  /**
   * True when nothing can have been lost since the file was last closed: neither power nor the process that had it open. Damage
   * to a head is then EIO; otherwise the other head is used, if what it refers to is there, and that is reported.
   * A function is asked about the session that the file's last head was written in: so only files that were changed in a session
   * that did not end well are verified.
   */
  readonly clean: boolean | ((session: number) => boolean);
  readonly events: ReportDamage;
  /**
   * The keys for a file of which nothing was committed before power was lost: it opens empty, which is reported. Left out, such a
   * file is EIO, as it always is with `clean`.
   */
  readonly keysWhenBlank?: ZoneKeys;
  /** Of the present mount, up to 2^48; 0 when the caller does not count. */
  readonly session?: number;
}

/**
 * A new file, in an empty backing file that belongs to it from now on. Its first head is written at the first commit, at the
 * latest when it is closed.
 *
 * @param fileId - 16 bytes, random, of no other file.
 * @param session - As {@link OpenOptions.session}.
 */
export function createSealedFile(
  backing: BackingFile,
  fileId: Buffer,
  keys: ZoneKeys,
  layout: FileLayout,
  events: ReportDamage,
  session = 0,
): StoredFile {
  const origin = { backing, fileId: Buffer.from(fileId), layout, report: events, session };
  const parts = makeParts(origin, keys, undefined, false);
  return new SealedFile(parts, new Committer(parts, noHeads, undefined, false), 0);
}

/**
 * Opens a file that `createSealedFile` made. The backing file belongs to it from now on, but not when this fails.
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
  const { clean, session = 0 } = options;
  const origin = { backing, fileId: Buffer.from(fileId), layout, report: options.events, session };
  const { found, places, isUncertain, isClean } = recover(origin, keysOf, clean);
  if (found === undefined) {
    if (options.keysWhenBlank === undefined) throw damage(options.events, fileId, "no head is there");
    if (backing.size() > 0) {
      backing.truncate(0); // what is left of lost slots must not be taken for damaged ones later
      backing.sync();
    }
    return createSealedFile(backing, fileId, options.keysWhenBlank, layout, options.events, session);
  }
  const { parts, head } = found;
  if (!isClean) {
    parts.births.leap();
    parts.epochs.countLostSeals();
  }
  return new SealedFile(parts, new Committer(parts, places, head, isUncertain), head.size);
}
