import type { DatabaseSync, StatementSync } from "node:sqlite";
import { EnclaveError } from "../../errors.ts";
import type { CommittedState, CommittedValue, StateChange, Version } from "../committed-state.ts";
import { sha256 } from "../low-s.ts";

/** A peer's own copy: its blocks, what they make of the state, and how far it is. One change of it is one block. */
export const peerSchema = `
  CREATE TABLE IF NOT EXISTS head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL, hash BLOB NOT NULL, digest BLOB NOT NULL, commit_hash BLOB NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS blocks (number INTEGER PRIMARY KEY, block BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS transactions (
    tx_id TEXT PRIMARY KEY, number INTEGER NOT NULL, position INTEGER NOT NULL, code INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS state (
    namespace TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, number INTEGER NOT NULL, position INTEGER NOT NULL,
    hash BLOB NOT NULL, PRIMARY KEY (namespace, key)
  ) STRICT, WITHOUT ROWID;`;

export interface CommittedTransactionRow {
  readonly txId: string;
  readonly blockNumber: bigint;
  readonly position: number;
  readonly code: number;
}

type Row = Record<string, unknown>;

/** Reads a peer's state over one connection to its database. Every row is compared with its hash. */
export class StateReader implements CommittedState {
  readonly #path: string;
  readonly #get: StatementSync;
  readonly #range: StatementSync;
  readonly #openRange: StatementSync;
  readonly #transaction: StatementSync;
  readonly #transactions: StatementSync;

  constructor(database: DatabaseSync, path: string) {
    this.#path = path;
    const columns = "SELECT namespace, key, value, number, position, hash FROM state";
    this.#get = database.prepare(`${columns} WHERE namespace = ? AND key = ?`);
    this.#range = database.prepare(`${columns} WHERE namespace = ? AND key >= ? AND key < ? ORDER BY key`);
    this.#openRange = database.prepare(`${columns} WHERE namespace = ? AND key >= ? ORDER BY key`);
    this.#transaction = database.prepare("SELECT * FROM transactions WHERE tx_id = ?");
    this.#transactions = database.prepare("SELECT * FROM transactions");
  }

  get(namespace: string, key: string): CommittedValue | undefined {
    const row = this.#get.get(namespace, Buffer.from(key));
    return row === undefined ? undefined : this.#checked(row);
  }

  *range(namespace: string, startKey: string, endKey: string): Iterable<CommittedValue & { readonly key: string }> {
    const start = Buffer.from(startKey);
    // Read at once: an iterator left half-way would keep the statement in use.
    const rows =
      endKey === "" ? this.#openRange.all(namespace, start) : this.#range.all(namespace, start, Buffer.from(endKey));
    for (const row of rows) yield this.#checked(row);
  }

  hasTransaction(txId: string): boolean {
    return this.transaction(txId) !== undefined;
  }

  transaction(txId: string): CommittedTransactionRow | undefined {
    const row = this.#transaction.get(txId);
    return row === undefined ? undefined : transactionOf(row);
  }

  transactions(): readonly CommittedTransactionRow[] {
    return this.#transactions.all().map(transactionOf);
  }

  #checked(row: Row): CommittedValue & { readonly key: string } {
    const { namespace, key, value, hash } = row;
    if (!(key instanceof Uint8Array && value instanceof Uint8Array && hash instanceof Uint8Array))
      throw damaged(this.#path);
    const found = {
      namespace: String(namespace),
      key: Buffer.from(key).toString(),
      value,
      version: { blockNumber: BigInt(Number(row.number)), position: BigInt(Number(row.position)) },
    };
    if (!rowHash(found).equals(hash)) throw damaged(this.#path);
    return found;
  }
}

/** Binds a row's value to its place: lengths, so that no two rows have the same bytes. */
export function rowHash(row: {
  readonly namespace: string;
  readonly key: string;
  readonly value: Uint8Array;
  readonly version: Version;
}): Buffer {
  const namespace = Buffer.from(row.namespace);
  const key = Buffer.from(row.key);
  const numbers = Buffer.alloc(24);
  numbers.writeUInt32BE(namespace.length, 0);
  numbers.writeUInt32BE(key.length, 4);
  numbers.writeBigUInt64BE(row.version.blockNumber, 8);
  numbers.writeBigUInt64BE(row.version.position, 16);
  return sha256(numbers, namespace, key, row.value);
}

export function transactionHash({ txId, blockNumber, position, code }: CommittedTransactionRow): Buffer {
  return sha256(Buffer.from(`transaction ${txId} ${blockNumber} ${position} ${code}`));
}

function transactionOf(row: Row): CommittedTransactionRow {
  return {
    txId: String(row.tx_id),
    blockNumber: BigInt(Number(row.number)),
    position: Number(row.position),
    code: Number(row.code),
  };
}

/** The hash of a whole state, rows in any order: the sum of their hashes modulo 2^256. */
export class StateDigest {
  #sum: bigint;

  constructor(bytes: Uint8Array = new Uint8Array(32)) {
    this.#sum = BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
  }

  replace(before: Uint8Array | undefined, after: Uint8Array | undefined): void {
    const number = (hash: Uint8Array | undefined) =>
      hash === undefined ? 0n : BigInt(`0x${Buffer.from(hash).toString("hex")}`);
    this.#sum = BigInt.asUintN(256, this.#sum + number(after) - number(before));
  }

  get bytes(): Buffer {
    return Buffer.from(this.#sum.toString(16).padStart(64, "0"), "hex");
  }
}

/** The row that a change leaves, if any. */
export function rowOf(change: StateChange): (StateChange & { value: Uint8Array }) | undefined {
  return change.value === undefined ? undefined : { ...change, value: change.value };
}

export function damaged(path: string, cause?: unknown): EnclaveError {
  return new EnclaveError("LEDGER_UNAVAILABLE", `a peer's copy of the ledger is damaged or was altered: ${path}`, {
    cause,
    hint: "remove that file with its -wal and -shm: the peer makes it anew from the blocks",
  });
}
