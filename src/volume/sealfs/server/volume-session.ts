import { readFileSync } from "node:fs";
import { kernelRandomBytes } from "../../../crypto/kernel-random.ts";
import type { KeyTable } from "../keys/key-table.ts";
import type { FileHealth, HeadFate, HeadStamp } from "../store/head-fate.ts";
import type { SyncMarks } from "./sync-marks.ts";

/** What the files of a volume need to know of its sessions. */
export interface FileSessions {
  /** For the next head. */
  stamp(): HeadStamp;
  /** What may have become of a head since it was written. */
  fateOf(stamp: HeadStamp): HeadFate;
  /** For a file that is made now: 16 bytes, which say in which session it was made. */
  newFileId(): Buffer;
  /** Whether a file may have been left without any head: its session did not end well. */
  mayBeBlank(fileId: Buffer): boolean;
  /** @param isNew - Nothing of it was ever committed. */
  healthOf(fileId: Buffer, isNew: boolean): FileHealth;
  /** The last name of a file is gone: whatever it was that failed of it is no matter. */
  forget(fileId: Buffer): void;
}

const sessionBytes = 6;
const randomBytes = 10;

/** The present session of a volume, and what is known of those before. */
export class VolumeSession implements FileSessions {
  readonly #table: KeyTable;
  readonly #marks: SyncMarks;
  readonly #bootId: Buffer;
  readonly #name: number;
  #round = 1;
  /** All heads of the rounds up to this one are on the medium. */
  #syncedRound = 0;
  #hasUnsynced = false;
  /** Files that were made and never got a head, by id. */
  readonly #headless = new Set<string>();
  readonly #syncFailed = new Set<string>();

  /** @param bootId - Of the machine's present start, 16 bytes. */
  constructor(table: KeyTable, marks: SyncMarks, bootId: Buffer) {
    this.#table = table;
    this.#marks = marks;
    this.#bootId = bootId;
    this.#name = table.sessions.next();
  }

  /** As the key table names it. */
  get name(): number {
    return this.#name;
  }

  /** All that was asked of files has been done. */
  get isWell(): boolean {
    return this.#headless.size === 0 && this.#syncFailed.size === 0;
  }

  /** A head was written since the last sync of the store began. */
  get hasUnsynced(): boolean {
    return this.#hasUnsynced;
  }

  /** From now on heads may be written. @throws {KeyTableError} As any write of the key table; then nothing has begun. */
  begin(): void {
    this.#table.beginSession(this.#name, this.#bootId);
    this.#mark(0);
  }

  /** Runs a sync of the whole store, and remembers how far it came. @throws What the sync throws: then nothing is known of it. */
  synced(sync: () => void): void {
    const round = this.#round;
    this.#round += 1;
    this.#hasUnsynced = false;
    try {
      sync();
    } catch (error) {
      this.#hasUnsynced = true;
      throw error;
    }
    this.#syncedRound = round;
    this.#mark(round);
  }

  /** Without the mark a later session doubts more than it must. */
  #mark(round: number): void {
    try {
      this.#marks.mark(this.#name, round);
    } catch {
      this.#hasUnsynced = true;
    }
  }

  stamp(): HeadStamp {
    this.#hasUnsynced = true;
    return { session: this.#name, round: this.#round, tableSequence: this.#table.head.sequence };
  }

  fateOf({ session, round, tableSequence }: HeadStamp): HeadFate {
    if (tableSequence > this.#table.head.sequence) return "foreign";
    if (session === this.#name) return round <= this.#syncedRound ? "closed" : "current";
    if (!this.#table.sessions.mayHaveBegun(session)) return "foreign";
    const unsettled = this.#table.sessions.unsettledWith(session);
    if (unsettled === undefined) return "closed";
    if (unsettled.bootId.equals(this.#bootId)) return "killed";
    return round <= (this.#marks.lastRound(session) ?? -1) ? "synced" : "unproven";
  }

  newFileId(): Buffer {
    const session = Buffer.alloc(sessionBytes);
    session.writeUIntBE(this.#name, 0, sessionBytes);
    return Buffer.concat([session, kernelRandomBytes(randomBytes)]);
  }

  mayBeBlank(fileId: Buffer): boolean {
    const session = fileId.readUIntBE(0, sessionBytes);
    return session === this.#name ? this.#headless.has(idOf(fileId)) : this.#table.sessions.isUnsettled(session);
  }

  forget(fileId: Buffer): void {
    this.#headless.delete(idOf(fileId));
    this.#syncFailed.delete(idOf(fileId));
  }

  healthOf(fileId: Buffer, isNew: boolean): FileHealth {
    const id = idOf(fileId);
    if (isNew) this.#headless.add(id);
    return new SessionHealth(id, this.#headless, this.#syncFailed);
  }
}

/** Of one file, in the sets of a session. */
class SessionHealth implements FileHealth {
  readonly #id: string;
  readonly #headless: Set<string>;
  readonly #syncFailures: Set<string>;

  constructor(id: string, headless: Set<string>, syncFailures: Set<string>) {
    this.#id = id;
    this.#headless = headless;
    this.#syncFailures = syncFailures;
  }

  get syncFailed(): boolean {
    return this.#syncFailures.has(this.#id);
  }

  noteSyncFailure(): void {
    this.#syncFailures.add(this.#id);
  }

  noteHead(): void {
    this.#headless.delete(this.#id);
  }
}

function idOf(fileId: Buffer): string {
  return fileId.toString("latin1");
}

/** Of this start of the machine, 16 bytes: the memory of what was written and not synced lives as long. */
export function readBootId(): Buffer {
  const text = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  const bytes = Buffer.from(text.replaceAll("-", ""), "hex");
  return bytes.length === 16 ? bytes : kernelRandomBytes(16);
}
