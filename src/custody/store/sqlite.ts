import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { CustodyError } from "../errors.ts";
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

/** The embedded store: one SQLite file in WAL mode with `synchronous=FULL`, so that a commit is on disk when it returns. */
export class SqliteStore implements Store {
  readonly #database: DatabaseSync;
  readonly #readHead: StatementSync;
  readonly #writeHead: StatementSync;
  readonly #writeRow: StatementSync;
  readonly #writeAudit: StatementSync;

  /**
   * @throws {CustodyError} `STORE_UNUSABLE` when the file cannot be opened, is not a database, or is of a newer version.
   */
  constructor(path: string, options: { readonly readOnly?: boolean } = {}) {
    const readOnly = options.readOnly ?? false;
    try {
      this.#database = new DatabaseSync(path, { readOnly, timeout: 5000 });
      if (!readOnly) {
        this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
        this.#migrate();
      }
      this.#readHead = this.#database.prepare("SELECT * FROM head WHERE one = 1");
      this.#writeHead = this.#database.prepare("INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?, ?, ?, ?, ?)");
      this.#writeRow = this.#database.prepare("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?, ?)");
      this.#writeAudit = this.#database.prepare("INSERT INTO audit VALUES (?, ?, ?, ?)");
    } catch (cause) {
      if (cause instanceof CustodyError) throw cause;
      const reason = diskIsFull(path) ? "its disk is full" : messageOf(cause);
      throw new CustodyError("STORE_UNUSABLE", `the store ${path} cannot be opened: ${reason}`, cause);
    }
  }

  async readHead(): Promise<StoredHead | undefined> {
    return this.#head();
  }

  async readRowsAfter(version: number): Promise<readonly StoredRow[]> {
    const rows = this.#database.prepare("SELECT * FROM state WHERE version > ? ORDER BY version").all(version);
    return rows.map((row) => ({
      kind: row.kind as string,
      id: row.id as string,
      version: row.version as number,
      epoch: row.epoch as number,
      deleted: row.deleted !== 0,
      body: row.body as string,
      mac: row.mac as Uint8Array,
    }));
  }

  async commit(expected: StoredHead | undefined, change: StoreChange): Promise<boolean> {
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
    const rows = this.#database
      .prepare("SELECT * FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ?")
      .all(after, limit);
    return rows.map((row) => ({
      sequence: row.sequence as number,
      body: row.body as string,
      hash: row.hash as Uint8Array,
      seal: row.seal as Uint8Array | null,
    }));
  }

  async close(): Promise<void> {
    this.#database.close();
  }

  #head(): StoredHead | undefined {
    const row = this.#readHead.get();
    if (row === undefined) return undefined;
    return {
      epoch: row.epoch as number,
      stateVersion: row.state_version as number,
      stateTag: row.state_tag as Uint8Array,
      sequence: row.sequence as number,
      auditHash: row.audit_hash as Uint8Array,
      latestMs: row.latest_ms as number,
      mac: row.mac as Uint8Array,
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

/** SQLite says "disk I/O error" when the files beside the store find no room. */
function diskIsFull(path: string): boolean {
  try {
    return statfsSync(dirname(path)).bavail === 0;
  } catch {
    return false;
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
