import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { type ReadBlock, readBlock, requireFollows, withValidation } from "../block.ts";
import { sha256 } from "../low-s.ts";
import { type JudgedChannel, type ValidatedBlock, validateBlock } from "../validation.ts";
import { damaged, peerSchema, rowHash, rowOf, StateDigest, StateReader, transactionHash } from "./state-database.ts";
import { type StateSnapshot, StateSnapshots } from "./state-snapshots.ts";

interface Head {
  readonly number: bigint;
  readonly hash: Uint8Array;
  readonly digest: Uint8Array;
  readonly commitHash: Uint8Array;
}

const firstBlock: ValidatedBlock = { codes: [0], txIds: [], changes: [], unknown: new Map(), isLost: false };

/**
 * A peer's database: SQLite in WAL mode with `synchronous=FULL`. A block, the state after it and the head are one transaction,
 * on disk when {@link commit} returns.
 *
 * What the hashes are for: a row, block or head that somebody alters without the others is found, at the latest when the
 * database is opened. Who alters all of them together makes a peer that is consistent and wrong; that is for the other
 * organisations' peers to show, whose endorsements then differ.
 */
export class PeerStore implements Disposable {
  readonly path: string;
  readonly state: StateReader;
  readonly #database: DatabaseSync;
  readonly #readBlock: StatementSync;
  readonly #snapshots: StateSnapshots;
  #head: Head | undefined;

  /** @throws EnclaveError LEDGER_UNAVAILABLE: it is damaged */
  constructor(path: string) {
    this.path = path;
    this.#snapshots = new StateSnapshots(path);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#database = new DatabaseSync(path, { timeout: 5000 });
    try {
      this.#database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; ${peerSchema}`);
      this.state = new StateReader(this.#database, path);
      this.#readBlock = this.#database.prepare("SELECT block FROM blocks WHERE number = ?");
      this.#head = this.#readHead();
      this.#check();
    } catch (cause) {
      this.#database.close();
      throw damaged(path, cause);
    }
  }

  /** How many blocks it has. */
  get height(): bigint {
    return this.#head === undefined ? 0n : this.#head.number + 1n;
  }

  block(number: bigint): Buffer | undefined {
    const row = this.#readBlock.get(number);
    return row === undefined ? undefined : Buffer.from(row.block as Uint8Array);
  }

  /** The state as it is now, until it is disposed of. */
  snapshot(): StateSnapshot {
    return this.#snapshots.take();
  }

  /**
   * Validates the next block and commits it. The first is taken as it is: it is the channel.
   *
   * @throws EnclaveError MALFORMED, WRONG_CONTEXT: not the next block
   */
  commit(bytes: Uint8Array, channel: JudgedChannel): ValidatedBlock {
    const block = readBlock(bytes);
    if (this.#head !== undefined) requireFollows(block, this.#head);
    const validated: ValidatedBlock = block.number === 0n ? firstBlock : validateBlock(block, channel, this.state);
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      this.#head = this.#write(block, bytes, validated);
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      this.#head = this.#readHead();
      throw error;
    }
    return validated;
  }

  #write(block: ReadBlock, bytes: Uint8Array, { codes, txIds, changes }: ValidatedBlock): Head {
    const digest = new StateDigest(this.#head?.digest);
    const database = this.#database;
    const hashBefore = database.prepare("SELECT hash FROM state WHERE namespace = ? AND key = ?");
    const put = database.prepare("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?)");
    const remove = database.prepare("DELETE FROM state WHERE namespace = ? AND key = ?");
    for (const change of changes) {
      const key = Buffer.from(change.key);
      const before = hashBefore.get(change.namespace, key)?.hash as Uint8Array | undefined;
      const row = rowOf(change);
      const after = row === undefined ? undefined : rowHash(row);
      digest.replace(before, after);
      const { blockNumber, position } = change.version;
      if (row === undefined || after === undefined) remove.run(change.namespace, key);
      else put.run(change.namespace, key, row.value, blockNumber, position, after);
    }
    const addTransaction = database.prepare("INSERT INTO transactions VALUES (?, ?, ?, ?)");
    for (const { txId, position } of txIds) {
      const row = { txId, blockNumber: block.number, position, code: codes[position] ?? 255 };
      addTransaction.run(txId, row.blockNumber, position, row.code);
      digest.replace(undefined, transactionHash(row));
    }
    const commitHash = sha256(
      this.#head?.commitHash ?? Buffer.alloc(32),
      block.hash,
      Uint8Array.from(codes),
      digest.bytes,
    );
    database.prepare("INSERT INTO blocks VALUES (?, ?)").run(block.number, withValidation(bytes, codes, commitHash));
    const head = { number: block.number, hash: block.hash, digest: digest.bytes, commitHash };
    database
      .prepare("INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?, ?)")
      .run(head.number, head.hash, head.digest, head.commitHash);
    return head;
  }

  #readHead(): Head | undefined {
    const row = this.#database.prepare("SELECT * FROM head").get();
    if (row === undefined) return undefined;
    return {
      number: BigInt(Number(row.number)),
      hash: row.hash as Uint8Array,
      digest: row.digest as Uint8Array,
      commitHash: row.commit_hash as Uint8Array,
    };
  }

  /** Reads everything once: each block follows the one before, and the rows add up to the head's digest. */
  #check(): void {
    let last: ReadBlock | undefined;
    for (let number = 0n; number < this.height; number++) {
      const bytes = this.block(number);
      if (bytes === undefined) throw damaged(this.path);
      const block = readBlock(bytes);
      if (block.number !== number) throw damaged(this.path);
      if (last !== undefined) requireFollows(block, last);
      last = block;
    }
    const digest = new StateDigest();
    for (const row of this.#database.prepare("SELECT DISTINCT namespace FROM state").all())
      for (const { key, value, version } of this.state.range(String(row.namespace), "", ""))
        digest.replace(undefined, rowHash({ namespace: String(row.namespace), key, value, version }));
    for (const row of this.state.transactions()) digest.replace(undefined, transactionHash(row));
    const isWhole =
      this.#head === undefined
        ? digest.bytes.equals(new StateDigest().bytes)
        : last?.hash.equals(this.#head.hash) === true && digest.bytes.equals(this.#head.digest);
    if (!isWhole) throw damaged(this.path);
  }

  [Symbol.dispose](): void {
    this.#snapshots[Symbol.dispose]();
    this.#database.close();
  }
}
