import { DatabaseSync, type StatementSync } from "node:sqlite";
import { CustodyError } from "../errors.ts";
import { accessing, bytesOf, numberOf, openingFailure, textOf } from "./sqlite-damage.ts";
import type { Store, StoreChange, StoredAuditEntry, StoredHead, StoredRow } from "./store.ts";

/** Each migration is applied once, in order, in one transaction; `user_version` counts them. */
const migrations: readonly string[] = [
  `CREATE TABLE head (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     epoch INTEGER NOT NULL, state_version INTEGER NOT NULL, state_tag BLOB NOT NULL,
     sequence INTEGER NOT NULL, audit_hash BLOB NOT NULL, latest_ms INTEGER NOT NULL, mac BLOB NOT NULL
   ) STRICT;
   CREATE TABLE state (
     kind TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, epoch INTEGER NOT NULL,
     deleted INTEGER NOT NULL, body TEXT NOT NULL, mac BLOB NOT NULL, PRIMARY KEY (kind, id)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX state_by_version ON state (version);
   CREATE TABLE audit (
     sequence INTEGER PRIMARY KEY, body TEXT NOT NULL, hash BLOB NOT NULL, seal BLOB
   ) STRICT;`,
];

/**
 * The log is copied into the database when it has this many pages (64 MiB). Every request waits meanwhile; at SQLite's own
 * 1,000 pages that is often enough under load to be the slowest hundredth of all requests.
 */
const checkpointPages = 16_384;

/** The embedded store: one SQLite file in WAL mode with `synchronous=FULL`, so that a commit is on disk when it returns. */
export class SqliteStore implements Store {
  readonly #database: DatabaseSync;
  readonly #readHead: StatementSync;
  readonly #readRows: StatementSync;
  readonly #readAudit: StatementSync;
  readonly #writeHead: StatementSync;
  readonly #writeRow: StatementSync;
  readonly #writeAudit: StatementSync;

  /**
   * @throws {CustodyError} `STORE_UNUSABLE` when the file cannot be opened or is of a newer version; `STATE_TAMPERED` when
   *   it is not the database that was written.
   */
  constructor(path: string) {
    try {
      this.#database = new DatabaseSync(path, { timeout: 5000 });
      this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
      this.#database.exec(`PRAGMA wal_autocheckpoint = ${checkpointPages}`);
      this.#migrate();
      this.#readHead = this.#database.prepare("SELECT * FROM head WHERE one = 1");
      this.#readRows = this.#database.prepare("SELECT * FROM state WHERE version > ? ORDER BY version");
      this.#readAudit = this.#database.prepare("SELECT * FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ?");
      this.#writeHead = this.#database.prepare("INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?, ?, ?, ?, ?)");
      this.#writeRow = this.#database.prepare("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?, ?)");
      this.#writeAudit = this.#database.prepare("INSERT INTO audit VALUES (?, ?, ?, ?)");
    } catch (cause) {
      throw openingFailure(path, cause);
    }
  }

  async readHead(): Promise<StoredHead | undefined> {
    return accessing(() => this.#head());
  }

  async readRowsAfter(version: number): Promise<readonly StoredRow[]> {
    const rows = accessing(() => this.#readRows.all(version));
    return rows.map((row) => ({
      kind: textOf(row, "kind"),
      id: textOf(row, "id"),
      version: numberOf(row, "version"),
      epoch: numberOf(row, "epoch"),
      deleted: numberOf(row, "deleted") !== 0,
      body: textOf(row, "body"),
      mac: bytesOf(row, "mac"),
    }));
  }

  async commit(expected: StoredHead | undefined, change: StoreChange): Promise<boolean> {
    return accessing(() => this.#commit(expected, change));
  }

  #commit(expected: StoredHead | undefined, change: StoreChange): boolean {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      if (!sameHead(expected, this.#head())) {
        this.#database.exec("ROLLBACK");
        return false;
      }
      for (const row of change.rows)
        this.#writeRow.run(row.kind, row.id, row.version, row.epoch, row.deleted ? 1 : 0, row.body, row.mac);
      for (const entry of change.audit) this.#writeAudit.run(entry.sequence, entry.body, entry.hash, entry.seal);
      const { epoch, stateVersion, stateTag, sequence, auditHash, latestMs, mac } = change.head;
      this.#writeHead.run(epoch, stateVersion, stateTag, sequence, auditHash, latestMs, mac);
      this.#database.exec("COMMIT");
      return true;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  async readAudit(after: number, limit: number): Promise<readonly StoredAuditEntry[]> {
    const rows = accessing(() => this.#readAudit.all(after, limit));
    return rows.map((row) => ({
      sequence: numberOf(row, "sequence"),
      body: textOf(row, "body"),
      hash: bytesOf(row, "hash"),
      seal: row.seal === null ? null : bytesOf(row, "seal"),
    }));
  }

  async close(): Promise<void> {
    this.#database.close();
  }

  #head(): StoredHead | undefined {
    const row = this.#readHead.get();
    if (row === undefined) return undefined;
    return {
      epoch: numberOf(row, "epoch"),
      stateVersion: numberOf(row, "state_version"),
      stateTag: bytesOf(row, "state_tag"),
      sequence: numberOf(row, "sequence"),
      auditHash: bytesOf(row, "audit_hash"),
      latestMs: numberOf(row, "latest_ms"),
      mac: bytesOf(row, "mac"),
    };
  }

  #migrate(): void {
    const { user_version: version } = this.#database.prepare("PRAGMA user_version").get() as { user_version: number };
    if (version > migrations.length)
      throw new CustodyError(
        "STORE_UNUSABLE",
        `the store has version ${version}, this program knows ${migrations.length}`,
      );
    for (let next = version; next < migrations.length; next++) {
      this.#database.exec(`BEGIN IMMEDIATE; ${migrations[next]}; PRAGMA user_version = ${next + 1}; COMMIT;`);
    }
  }
}

function sameHead(left: StoredHead | undefined, right: StoredHead | undefined): boolean {
  if (left === undefined || right === undefined) return left === right;
  return Buffer.compare(left.mac, right.mac) === 0;
}
