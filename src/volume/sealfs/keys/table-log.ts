import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { Suite } from "../../../crypto/suite.ts";
import { KeyTableError } from "./errors.ts";
import { isDestruction, type TableRecord } from "./records.ts";
import type { TableFile } from "./table-file.ts";
import { TableState } from "./table-state.ts";
import { encodeTable, type RecordChain } from "./writing.ts";

/** Records out of date that a file may have before it is written anew: these, and so many for each zone. */
const minStaleRecords = 4096;
const staleRecordsPerZone = 2;

/** Where a table stands; to be kept elsewhere, so that an older copy of the table is noticed. */
export interface TableHead {
  /** Of the last record; rises with every change, also over re-keying. */
  readonly sequence: number;
  /** The last record's tag, 16 bytes. */
  readonly link: Buffer;
}

export interface TableLogParts {
  readonly suite: Suite;
  readonly volumeId: Buffer;
  readonly state: TableState;
  /** Under which the file is written anew; stays the caller's. */
  readonly tableKey: SecretBuffer;
  readonly chain: RecordChain;
  /** How many records the file has. */
  readonly recordsInFile: number;
  /** Left out when the table is open for reading only. */
  readonly file?: TableFile;
}

/**
 * A table's file and what its records add up to, kept the same. What a call has written is durable when it returns. Records are added at the
 * file's end; it is written anew when most of it is out of date, or so that what its end says cannot be cut off unnoticed.
 */
export class TableLog implements Disposable {
  readonly #suite: Suite;
  readonly #volumeId: Buffer;
  readonly #file: TableFile | undefined;
  #state: TableState;
  #tableKey: SecretBuffer;
  #chain: RecordChain;
  #recordsInFile: number;
  /** What the file tells to be gone is in it all the same, further up. */
  #holdsDestroyed: boolean;
  /** A record was added that a cut could take away unnoticed, since the table could not be written anew. */
  #isUnguarded = false;

  /** The log becomes the owner of chain and file. */
  constructor({ suite, volumeId, state, tableKey, chain, recordsInFile, file }: TableLogParts) {
    this.#suite = suite;
    this.#volumeId = volumeId;
    this.#state = state;
    this.#tableKey = tableKey;
    this.#chain = chain;
    this.#recordsInFile = recordsInFile;
    this.#holdsDestroyed = state.sawDestruction;
    this.#file = file;
  }

  get state(): TableState {
    return this.#state;
  }

  get head(): TableHead {
    return { sequence: this.#chain.nextSequence - 1, link: this.#chain.link };
  }

  /** True when envelopes of what was destroyed or removed are still in the file. */
  get holdsDestroyed(): boolean {
    return this.#holdsDestroyed;
  }

  /** Whether {@link settle} has something to do. */
  get mustBeWritten(): boolean {
    return this.#holdsDestroyed || this.#isUnguarded;
  }

  get isWritable(): boolean {
    return this.#file !== undefined;
  }

  /** @throws {KeyTableError} `KEY_TABLE_READ_ONLY`. */
  checkWritable(): TableFile {
    if (this.#file === undefined) throw new KeyTableError("KEY_TABLE_READ_ONLY");
    return this.#file;
  }

  /**
   * Adds records, all of them or none.
   *
   * @throws {KeyTableError} `KEY_TABLE_READ_ONLY`, `KEY_TABLE_LIMIT`, `KEY_TABLE_SYSTEM`, `KEY_TABLE_BROKEN`; the state is as before.
   */
  append(records: readonly TableRecord[]): void {
    this.#add(records);
    if (this.#recordsInFile <= minStaleRecords + staleRecordsPerZone * this.#state.zoneCount) return;
    try {
      this.compact();
    } catch {
      // The change itself is durable; the file is written anew at a later one.
    }
  }

  /**
   * Adds a record and writes the table anew where there is room, so that the record's loss shows as damage.
   *
   * @throws {KeyTableError} As {@link append}.
   */
  appendGuarded(record: TableRecord): void {
    this.#add([record]);
    try {
      this.compact();
    } catch {
      // On a full disk: the record itself is durable.
      this.#isUnguarded = true;
    }
  }

  /** Writes the table anew, without what is out of date, in the old one's place. @throws {KeyTableError} As {@link append}. */
  compact(): void {
    this.replace(this.#tableKey, this.#state.records());
  }

  /** Writes the table anew, if something destroyed is still in the file, or its end could be cut unnoticed. @throws {KeyTableError} As {@link append}. */
  settle(): void {
    if (this.mustBeWritten) this.compact();
  }

  /**
   * Puts a table of these records, under this key, in the file's place. The sessions so far stay in it.
   *
   * @param tableKey - Stays the caller's, to be kept as long as the log is used.
   * @throws {KeyTableError} As {@link append}.
   */
  replace(tableKey: SecretBuffer, content: readonly TableRecord[]): void {
    const file = this.checkWritable();
    const log = this.#state.sessions;
    const records: readonly TableRecord[] = log.last === 0 ? content : [...content, { type: "sessions", log }];
    const state = new TableState();
    for (const record of records) state.apply(record);
    state.checkComplete();
    const place = { suite: this.#suite, volumeId: this.#volumeId, firstSequence: this.#chain.nextSequence };
    const { bytes, chain } = encodeTable(place, tableKey, records);
    try {
      file.replace(bytes);
    } catch (error) {
      chain[Symbol.dispose]();
      throw error;
    }
    this.#chain[Symbol.dispose]();
    this.#chain = chain;
    this.#state = state;
    this.#tableKey = tableKey;
    this.#recordsInFile = records.length;
    this.#holdsDestroyed = false;
    this.#isUnguarded = false;
  }

  [Symbol.dispose](): void {
    this.#file?.close();
    this.#chain[Symbol.dispose]();
  }

  #add(records: readonly TableRecord[]): void {
    const file = this.checkWritable();
    const undo: (() => void)[] = [];
    try {
      // First what the records mean: a file must never hold one that its reader refuses.
      for (const record of records) undo.push(this.#state.apply(record));
      const sealed = this.#chain.seal(records);
      file.append(sealed);
      this.#chain.advance(sealed, records.length);
      this.#recordsInFile += records.length;
      this.#holdsDestroyed ||= records.some(isDestruction);
    } catch (error) {
      for (const takeBack of undo.reverse()) takeBack();
      throw error;
    }
  }
}
