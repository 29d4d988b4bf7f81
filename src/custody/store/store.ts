/**
 * What custody needs of a database: authenticated rows, an append-only audit table, and one commit that does all or
 * nothing. SQLite implements it here; any database with a serialisable transaction can.
 *
 * The store is not trusted: it keeps what it is given, and custody checks every byte that comes back.
 */
export interface Store {
  /** The head of everything, or undefined in a store that was never initialised. */
  readHead(): Promise<StoredHead | undefined>;
  /** Rows last changed after `version`, in order of version, tombstones included. */
  readRowsAfter(version: number): Promise<readonly StoredRow[]>;
  /**
   * Writes rows, audit entries and the new head in one durable transaction, if the head in the store still is
   * `expected` (compared by its MAC). False, and nothing written, when another writer came first.
   * Durable when the promise settles: SQLite with `synchronous=FULL`, PostgreSQL with a synchronous commit.
   */
  commit(expected: StoredHead | undefined, change: StoreChange): Promise<boolean>;
  /** Audit entries with `after < sequence`, in order, at most `limit`. */
  readAudit(after: number, limit: number): Promise<readonly StoredAuditEntry[]>;
  close(): Promise<void>;
}

/** One row that says where the store stands; its MAC covers all of it. */
export interface StoredHead {
  /** Raised each time a server opens the store for writing. */
  readonly epoch: number;
  /** Raised by each change of state. */
  readonly stateVersion: number;
  /** Running tag over all live rows (see state/state-tag.ts), 32 bytes. */
  readonly stateTag: Uint8Array;
  /** Sequence of the last audit entry; 0 when there is none. */
  readonly sequence: number;
  /** Hash of the last audit entry, 32 bytes. */
  readonly auditHash: Uint8Array;
  /** The latest time seen, Unix milliseconds: time does not run backwards for expiries. */
  readonly latestMs: number;
  readonly mac: Uint8Array;
}

/** One thing of state. A deleted row stays as a tombstone with an empty body. */
export interface StoredRow {
  readonly kind: string;
  readonly id: string;
  /** State version of its last change. */
  readonly version: number;
  readonly epoch: number;
  readonly deleted: boolean;
  /** JSON. */
  readonly body: string;
  readonly mac: Uint8Array;
}

export interface StoredAuditEntry {
  readonly sequence: number;
  /** JSON of one audit record. */
  readonly body: string;
  /** Chain hash up to and including this entry. */
  readonly hash: Uint8Array;
  /** Keyed seal over the chain at this point; on the last entry of each commit. */
  readonly seal: Uint8Array | null;
}

export interface StoreChange {
  readonly rows: readonly StoredRow[];
  readonly audit: readonly StoredAuditEntry[];
  readonly head: StoredHead;
}
