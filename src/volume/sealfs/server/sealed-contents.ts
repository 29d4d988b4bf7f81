import { kernelRandomBytes } from "../../../crypto/kernel-random.ts";
import { FsError } from "../fs-error.ts";
import { createSealedFile, openSealedFile } from "../store/create-and-open.ts";
import type { ReportDamage } from "../store/damage.ts";
import { noStamp, unwatchedHealth } from "../store/head-fate.ts";
import { PlainFile } from "../store/plain-file.ts";
import { readSealedSize } from "../store/read-size.ts";
import type { BackingFile, FileLayout, StoredFile, ZoneKeys } from "../stored-file.ts";
import type { ContentSize, ContentStore } from "../tree/content-store.ts";
import type { TreeZone } from "../tree/tree-keys.ts";
import type { FileSessions } from "./volume-session.ts";

/** Contents by zone: sealed where the zone has keys, as they are where it is plain. */
export class SealedContents implements ContentStore {
  readonly #layout: FileLayout;
  readonly #sessions: FileSessions;
  readonly #report: ReportDamage;
  readonly #writes: boolean;

  /**
   * @param sessions - Or, without sessions, whether all that is there was closed in good order.
   * @param writes - Recovers files; left out for looking only, where a file of which nothing was committed is told of.
   */
  constructor(layout: FileLayout, sessions: FileSessions | boolean, report: ReportDamage, writes = true) {
    this.#layout = layout;
    this.#sessions = typeof sessions === "boolean" ? oneSession(sessions) : sessions;
    this.#report = report;
    this.#writes = writes;
  }

  newFileId(): Buffer {
    return this.#sessions.newFileId();
  }

  create(backing: BackingFile, fileId: Buffer, zone: TreeZone): StoredFile {
    const { keys } = zone;
    if (keys === undefined) return new PlainFile(backing);
    try {
      // Before a file is made of which nothing could ever be committed.
      this.requireKey(zone);
    } catch (error) {
      backing.close();
      throw error;
    }
    const health = this.#sessions.healthOf(fileId, true);
    const stamp = () => this.#sessions.stamp();
    return createSealedFile(backing, fileId, keys, this.#layout, this.#report, { stamp, health });
  }

  requireKey({ keys }: TreeZone): void {
    void keys?.generation;
  }

  removed(fileId: Buffer): void {
    this.#sessions.forget(fileId);
  }

  size(backing: BackingFile, fileId: Buffer, { zoneId, keys }: TreeZone): ContentSize | undefined {
    if (keys === undefined) return undefined;
    const keysOf = (named: Buffer): ZoneKeys => {
      if (named.equals(zoneId)) return keys;
      throw otherZone();
    };
    return readSealedSize(backing, fileId, keysOf, this.#layout, (stamp) => this.#sessions.fateOf(stamp));
  }

  open(backing: BackingFile, fileId: Buffer, { zoneId, keys }: TreeZone): StoredFile {
    if (keys === undefined) return new PlainFile(backing);
    const sessions = this.#sessions;
    const keysOf = (named: Buffer): ZoneKeys => {
      if (named.equals(zoneId)) return keys;
      this.#report(fileId, "the head names another zone than the folder is in", "refused");
      throw otherZone();
    };
    const whenBlank = this.#writes && sessions.mayBeBlank(fileId) ? { keysWhenBlank: keys } : {};
    try {
      return openSealedFile(backing, fileId, keysOf, this.#layout, {
        clean: (stamp) => sessions.fateOf(stamp),
        events: this.#report,
        stamp: () => sessions.stamp(),
        health: sessions.healthOf(fileId, false),
        commitsRecovered: this.#writes,
        ...whenBlank,
      });
    } catch (error) {
      backing.close();
      throw error;
    }
  }
}

function otherZone(): FsError {
  return new FsError("EIO", "a file of another zone");
}

/** Of a store that counts no sessions. */
function oneSession(isClean: boolean): FileSessions {
  const stamp = { ...noStamp, session: kernelRandomBytes(6).readUIntBE(0, 6) };
  return {
    stamp: () => stamp,
    fateOf: ({ session }) => (session === stamp.session ? "current" : isClean ? "closed" : "unproven"),
    newFileId: () => kernelRandomBytes(16),
    mayBeBlank: () => !isClean,
    healthOf: () => unwatchedHealth(),
    forget() {},
  };
}
