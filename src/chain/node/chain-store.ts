import { createHmac, randomBytes } from "node:crypto";
import { BinaryReader, BinaryWriter } from "../ledger/binary.ts";
import { decodeFinalBlock, encodeFinalBlock, maxBlockTransactions } from "../ledger/block.ts";
import type { Chain } from "../ledger/genesis.ts";
import type { StoredChain } from "../ledger/ledger.ts";
import { decodeReceipt, encodeReceipt } from "../ledger/receipt.ts";
import { blockLimitRange } from "../ledger/seen-transactions.ts";
import { maxKeyBytes, maxValueBytes } from "../ledger/transaction.ts";
import type { FinalBlock, Receipt, StateWrite } from "../ledger/types.ts";
import { ChainNodeError } from "./errors.ts";

/** What is used of a database: an `EncryptedLevel`, or for a chain without storage security a classic-level. */
export interface StoreDatabase {
  get(key: Buffer): Promise<Buffer | undefined>;
  batch(
    operations: { readonly type: "put"; readonly key: Buffer; readonly value: Buffer }[],
    options: { readonly sync: boolean },
  ): Promise<void>;
  iterator(range: { readonly gte: Buffer; readonly lt: Buffer }): AsyncIterable<[Buffer, Buffer]>;
  close(): Promise<void>;
}

export interface TransactionPlace {
  readonly height: number;
  readonly index: number;
}

/** First bytes of the stored names. */
const rooms = { meta: 0x6d, block: 0x62, receipts: 0x72, transaction: 0x74, entry: 0x73 } as const;
const layoutVersion = Buffer.of(1);
const recentBlocks = 4;
const maxReceiptBytes = 64 + maxValueBytes;

/**
 * Blocks, receipts and the contract's entries of one node. A block comes in one synced batch with all that it changes, so
 * that a crash at any point leaves whole blocks.
 *
 *     m ‖ "layout" | "genesis" | "guard" | "names" | "head" | "written"    b ‖ height (8) → block ‖ proof    r ‖ height (8) → receipts
 *     t ‖ transaction hash → height (8) ‖ index (4)            s ‖ HMAC-SHA-256(names, key) → key ‖ value
 *
 * `written` is how many entries the guard's file had when the head was stored: a file with fewer is an older copy.
 * The values are the database's to encrypt. Names are not: therefore the contract's keys stand there under a secret of the
 * store's own.
 */
export class ChainStore implements AsyncDisposable {
  readonly #chain: Chain;
  readonly #database: StoreDatabase;
  readonly #namesKey: Buffer;
  /** The last blocks as they came: each of a block's transactions asks for its block. */
  readonly #recent = new Map<number, { readonly block: FinalBlock; readonly receipts: readonly Receipt[] }>();
  #height: number;

  private constructor(chain: Chain, database: StoreDatabase, namesKey: Buffer, height: number) {
    this.#chain = chain;
    this.#database = database;
    this.#namesKey = namesKey;
    this.#height = height;
  }

  /** True for a database in which nothing has ever been stored. */
  static async isNew(database: StoreDatabase): Promise<boolean> {
    for await (const _ of database.iterator({ gte: Buffer.of(0), lt: Buffer.alloc(2, 0xff) })) return false;
    return true;
  }

  /** Prepares a new database; durable on return. `stateDigest` is of the genesis and the node's public key. */
  static async create(chain: Chain, database: StoreDatabase, stateDigest: Buffer, guardId: Buffer): Promise<void> {
    const meta = { layout: layoutVersion, genesis: stateDigest, guard: guardId, names: randomBytes(32) };
    const operations = Object.entries(meta).map(([name, value]) => put(metaKey(name), value));
    operations.push(put(metaKey("head"), u64(chain.genesisHeader.height)), put(metaKey("written"), u64(0)));
    await database.batch(operations, { sync: true });
  }

  /**
   * Opens what {@link create} prepared. The database becomes this one's to close.
   *
   * @param guard - The guard's file that lies beside it: its id, and how many entries it has had.
   * @throws {ChainNodeError} `GENESIS_MISMATCH`; `GUARD_MISSING` when the guard's file is not the one that this store was
   *   written beside; `GUARD_ROLLED_BACK` when it is an older copy of that one; `STORE_DAMAGED`.
   */
  static async open(
    chain: Chain,
    database: StoreDatabase,
    stateDigest: Buffer,
    guard: { readonly id: Buffer; readonly written: number },
  ): Promise<ChainStore> {
    const meta = async (name: string) => {
      const value = await database.get(metaKey(name));
      if (value === undefined) throw damaged(`it has no ${name}`);
      return value;
    };
    if (!(await meta("layout")).equals(layoutVersion)) throw damaged("it is of another version");
    if (!(await meta("genesis")).equals(stateDigest))
      throw new ChainNodeError("GENESIS_MISMATCH", "the store is of another chain or another node key");
    if (!(await meta("guard")).equals(guard.id))
      throw new ChainNodeError(
        "GUARD_MISSING",
        "the double-sign guard's file is not the one that this store was written beside: put that one back",
      );
    const written = await meta("written");
    if (written.length !== 8) throw damaged("its count of the guard's entries is none");
    if (written.readBigUInt64BE() > BigInt(guard.written))
      throw new ChainNodeError(
        "GUARD_ROLLED_BACK",
        `the double-sign guard's file has ${guard.written} entries and had ${written.readBigUInt64BE()} at the last block: it is an older copy. Put the newest one back, or give the node a new key`,
      );
    const head = await meta("head");
    if (head.length !== 8) throw damaged("its head is no height");
    return new ChainStore(chain, database, await meta("names"), Number(head.readBigUInt64BE()));
  }

  /** Height of the last block; 0 for none but the genesis. */
  get height(): number {
    return this.#height;
  }

  /** What a ledger is restored from: the entries, and the last blocks. */
  get stored(): StoredChain {
    return { entries: this.#entries(), blocks: this.blocks(Math.max(1, this.#height - blockLimitRange + 1)) };
  }

  /**
   * Adds the next block with all that it changes; on the disk when the promise resolves.
   *
   * @param guardWritten - How many entries the guard's file has had, all of them durable.
   * @throws {ChainNodeError} `STORE_DAMAGED` for a block of another height than the next.
   */
  async add(
    block: FinalBlock,
    receipts: readonly Receipt[],
    writes: readonly StateWrite[],
    guardWritten: number,
  ): Promise<void> {
    const { height } = block.header;
    if (height !== this.#height + 1) throw damaged(`block ${height} came after block ${this.#height}`);
    const list = new BinaryWriter().u32(receipts.length);
    for (const receipt of receipts) list.bytes(encodeReceipt(receipt));
    const operations = [
      put(key(rooms.block, u64(height)), encodeFinalBlock(block)),
      put(key(rooms.receipts, u64(height)), list.end()),
      put(metaKey("head"), u64(height)),
      put(metaKey("written"), u64(guardWritten)),
    ];
    for (const [index, transaction] of block.transactions.entries())
      operations.push(put(key(rooms.transaction, transaction.hash), new BinaryWriter().u64(height).u32(index).end()));
    for (const write of writes)
      operations.push(put(this.#entryKey(write.key), new BinaryWriter().bytes(write.key).bytes(write.value).end()));
    await this.#database.batch(operations, { sync: true });
    this.#height = height;
    this.#recent.set(height, { block, receipts });
    this.#recent.delete(height - recentBlocks);
  }

  /** The block of a height; undefined for one that is not there, the genesis block among them. */
  async block(height: number): Promise<FinalBlock | undefined> {
    const recent = this.#recent.get(height);
    if (recent !== undefined) return recent.block;
    const encoded = await this.#database.get(key(rooms.block, u64(height)));
    if (encoded === undefined) return undefined;
    const block = decodeFinalBlock(this.#chain.suite, encoded);
    if (block.header.height !== height) throw damaged(`block ${height} is another`);
    return block;
  }

  /** The encoded blocks from a height on, as many as there are and fit into `mostBytes`, but one at least. */
  async encodedBlocks(fromHeight: number, most: number, mostBytes: number): Promise<Buffer[]> {
    const blocks: Buffer[] = [];
    let bytes = 0;
    for (let height = fromHeight; height < fromHeight + most && height <= this.#height; height++) {
      const encoded = await this.#database.get(key(rooms.block, u64(height)));
      if (encoded === undefined) throw damaged(`block ${height} is missing`);
      bytes += encoded.length;
      if (blocks.length > 0 && bytes > mostBytes) break;
      blocks.push(encoded);
    }
    return blocks;
  }

  /** Blocks from a height up to the head. */
  async *blocks(fromHeight: number, most: number = Number.MAX_SAFE_INTEGER): AsyncGenerator<FinalBlock> {
    const last = Math.min(this.#height, fromHeight + most - 1);
    for (let height = fromHeight; height <= last; height++) {
      const block = await this.block(height);
      if (block === undefined) throw damaged(`block ${height} is missing`);
      yield block;
    }
  }

  /** All receipts of a block, in the order of its transactions. */
  async receipts(height: number): Promise<readonly Receipt[] | undefined> {
    const recent = this.#recent.get(height);
    if (recent !== undefined) return recent.receipts;
    const encoded = await this.#database.get(key(rooms.receipts, u64(height)));
    if (encoded === undefined) return undefined;
    const reader = new BinaryReader(encoded, "the store's list of receipts");
    const count = reader.count(maxBlockTransactions, 4);
    const receipts = Array.from({ length: count }, () => decodeReceipt(reader.bytes(maxReceiptBytes)));
    reader.end();
    return receipts;
  }

  /** Where a transaction stands; undefined for one that no block holds. */
  async place(transactionHash: Buffer): Promise<TransactionPlace | undefined> {
    const encoded = await this.#database.get(key(rooms.transaction, transactionHash));
    if (encoded === undefined) return undefined;
    const reader = new BinaryReader(encoded, "the store's place of a transaction");
    const place = { height: reader.u64(), index: reader.u32() };
    reader.end();
    return place;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#namesKey.fill(0);
    await this.#database.close();
  }

  async *#entries(): AsyncGenerator<StateWrite> {
    const range = { gte: Buffer.of(rooms.entry), lt: Buffer.of(rooms.entry + 1) };
    for await (const [name, encoded] of this.#database.iterator(range)) {
      const reader = new BinaryReader(encoded, "the store's entry");
      const entry = { key: reader.bytes(maxKeyBytes, 1), value: reader.bytes(maxValueBytes) };
      reader.end();
      if (!this.#entryKey(entry.key).equals(name)) throw damaged("an entry stands under another's name");
      yield entry;
    }
  }

  #entryKey(contractKey: Buffer): Buffer {
    return key(rooms.entry, createHmac("sha256", this.#namesKey).update(contractKey).digest());
  }
}

function key(room: number, name: Buffer): Buffer {
  return Buffer.concat([Buffer.of(room), name]);
}

function metaKey(name: string): Buffer {
  return key(rooms.meta, Buffer.from(name));
}

function put(name: Buffer, value: Buffer): { readonly type: "put"; readonly key: Buffer; readonly value: Buffer } {
  return { type: "put", key: name, value };
}

function u64(height: number): Buffer {
  return new BinaryWriter().u64(height).end();
}

function damaged(what: string): ChainNodeError {
  return new ChainNodeError("STORE_DAMAGED", `the node's store is damaged: ${what}`);
}
