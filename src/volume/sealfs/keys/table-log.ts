import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { Suite } from "../../../crypto/suite.ts";
import { KeyTableError } from "./errors.ts";
import type { TableRecord } from "./records.ts";
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
  readonly chain: RecordChain;
  /** How many records the file has. */
  readonly recordsInFile: number;
  /** Left out when the table is open for reading only. */
  readonly file?: TableFile;
}

/** A table's file and what its records add up to, kept the same. What a call has written is durable when it returns. */
export class TableLog implements Disposable {
  readonly #suite: Suite;
  readonly #volumeId: Buffer;
  readonly #file: TableFile | undefined;
  #state: TableState;
  #chain: RecordChain;
  #recordsInFile: number;

  /** The log becomes the owner of chain and file. */
  constructor({ suite, volumeId, state, chain, recordsInFile, file }: TableLogParts) {
    this.#suite = suite;
    this.#volumeId = volumeId;
    this.#state = state;
    this.#chain = chain;
    this.#recordsInFile = recordsInFile;
    this.#file = file;
  }

  get state(): TableState {
    return this.#state;
  }

  get head(): TableHead {
    return { sequence: this.#chain.nextSequence - 1, link: this.#chain.link };
  }

  /** True when most of the file is out of date. */
  get isMostlyStale(): boolean {
    return this.#recordsInFile > minStaleRecords + staleRecordsPerZone * this.#state.zoneCount;
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
    const file = this.checkWritable();
    const undo: (() => void)[] = [];
    try {
      // First what the records mean: a file must never hold one that its reader refuses.
      for (const record of records) undo.push(this.#state.apply(record));
      const sealed = this.#chain.seal(records);
      file.append(sealed);
      this.#chain.advance(sealed, records.length);
      this.#recordsInFile += records.length;
    } catch (error) {
      for (const takeBack of undo.reverse()) takeBack();
      throw error;
    }
  }

  /**
   * Puts a table of these records, under this key, in the file's place.
   *
   * @throws {KeyTableError} As {@link append}.
   */
  replace(tableKey: SecretBuffer, records: readonly TableRecord[]): void {
    const file = this.checkWritable();
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
    this.#recordsInFile = records.length;
  }

  [Symbol.dispose](): void {
    this.#file?.close();
    this.#chain[Symbol.dispose]();
  }
}
