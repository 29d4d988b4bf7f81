import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { EnclaveError } from "../../errors.ts";
import {
  ChannelHeaderSchema,
  EnvelopeSchema,
  PayloadSchema,
  SignatureHeaderSchema,
} from "../../messages/generated/fabric/common_pb.ts";
import { isSignedByOrderer, isWholeEnvelope, makeBlock, type ReadBlock, readBlock, requireFollows } from "../block.ts";
import type { ChannelConfig } from "../channel-config.ts";
import { readMessage } from "../fabric-message.ts";
import { isSignedLowS } from "../low-s.ts";
import { nonceBytes } from "../proposal.ts";
import type { SigningIdentity } from "./identities.ts";

const maxEnvelopeBytes = 4 << 20;
const maxTransactions = 100;
const maxBatchBytes = 8 << 20;

/** Where an envelope has come to be. */
export interface OrderedPlace {
  readonly blockNumber: bigint;
  readonly position: number;
}

interface Waiting {
  readonly envelope: Uint8Array;
  readonly resolve: (place: OrderedPlace) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The one orderer: puts envelopes in the order in which they come, into blocks that it signs. It does not look at what they
 * say. A block is on disk before anybody hears of it.
 */
export class Orderer implements Disposable {
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly #channel: ChannelConfig;
  readonly #identity: SigningIdentity;
  readonly #deliver: () => void;
  readonly #waiting: Waiting[] = [];
  #last: Pick<ReadBlock, "number" | "hash">;
  #isCutSoon = false;
  #isClosed = false;

  /**
   * @param deliver - Has the peers take what is new.
   * @throws EnclaveError LEDGER_UNAVAILABLE: the blocks are damaged, or of another channel
   */
  constructor(
    path: string,
    genesisBlock: Uint8Array,
    channel: ChannelConfig,
    identity: SigningIdentity,
    deliver: () => void,
  ) {
    this.#path = path;
    this.#channel = channel;
    this.#identity = identity;
    this.#deliver = deliver;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#database = new DatabaseSync(path, { timeout: 5000 });
    try {
      this.#database.exec(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS blocks (number INTEGER PRIMARY KEY, block BLOB NOT NULL) STRICT;",
      );
      if (this.block(0n) === undefined) this.#append(0n, genesisBlock);
      this.#last = this.#check();
    } catch (cause) {
      this.#database.close();
      throw new EnclaveError("LEDGER_UNAVAILABLE", `the blocks of the ledger are damaged or were altered: ${path}`, {
        cause,
      });
    }
  }

  /** How many blocks there are. */
  get height(): bigint {
    return this.#last.number + 1n;
  }

  block(number: bigint): Buffer | undefined {
    const row = this.#database.prepare("SELECT block FROM blocks WHERE number = ?").get(number);
    return row === undefined ? undefined : Buffer.from(row.block as Uint8Array);
  }

  /**
   * Resolves when the envelope is in a block that is on disk, and peers had it.
   *
   * @param envelope - common.Envelope
   * @throws EnclaveError UNAUTHORIZED: its creator is nobody of the channel, or did not sign it; MALFORMED; LEDGER_UNAVAILABLE
   */
  async broadcast(envelope: Uint8Array): Promise<OrderedPlace> {
    this.#admit(envelope);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ envelope: Uint8Array.from(envelope), resolve, reject });
      if (this.#isCutSoon) return;
      this.#isCutSoon = true;
      // Those that come within the same turn share a block.
      setImmediate(() => this.#cut());
    });
  }

  #admit(envelope: Uint8Array): void {
    if (this.#isClosed) throw new EnclaveError("LEDGER_UNAVAILABLE", "the ledger is closed");
    if (envelope.length > maxEnvelopeBytes) throw new EnclaveError("MALFORMED", "an envelope is too long");
    const { payload, signature } = readMessage(EnvelopeSchema, envelope);
    if (!isWholeEnvelope(envelope)) throw new EnclaveError("MALFORMED", "an envelope is not as clients encode it");
    const { header } = readMessage(PayloadSchema, payload);
    if (header === undefined) throw new EnclaveError("MALFORMED", "an envelope has no header");
    if (readMessage(ChannelHeaderSchema, header.channelHeader).channelId !== this.#channel.channelId)
      throw new EnclaveError("WRONG_CONTEXT", "an envelope is for another channel");
    const { creator } = readMessage(SignatureHeaderSchema, header.signatureHeader);
    const identity = this.#channel.membership.identify(creator, Date.now());
    if (identity === undefined || !isSignedLowS(payload, signature, identity.key))
      throw new EnclaveError("UNAUTHORIZED", "an envelope is not signed by a member of the channel");
  }

  #cut(): void {
    this.#isCutSoon = false;
    while (this.#waiting.length > 0 && !this.#isClosed) {
      const batch = this.#nextBatch();
      try {
        const envelopes = batch.map(({ envelope }) => envelope);
        const number = this.#last.number + 1n;
        const bytes = makeBlock(number, this.#last.hash, envelopes, randomBytes(nonceBytes), this.#identity);
        this.#append(number, bytes);
        this.#last = readBlock(bytes);
        this.#deliver();
        for (const [position, { resolve }] of batch.entries()) resolve({ blockNumber: number, position });
      } catch (cause) {
        const error = new EnclaveError(
          "LEDGER_UNAVAILABLE",
          "the orderer could not write a block: nothing is ordered",
          { cause },
        );
        for (const { reject } of batch) reject(error);
      }
    }
  }

  #nextBatch(): readonly Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { envelope } of this.#waiting) {
      bytes += envelope.length;
      if (count > 0 && (count >= maxTransactions || bytes > maxBatchBytes)) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  #append(number: bigint, bytes: Uint8Array): void {
    this.#database.prepare("INSERT INTO blocks VALUES (?, ?)").run(number, bytes);
  }

  /** Every block from the channel's first to the last follows the one before and is signed by an orderer. */
  #check(): Pick<ReadBlock, "number" | "hash"> {
    const count = Number(this.#database.prepare("SELECT count(*) AS count FROM blocks").get()?.count);
    let last: ReadBlock | undefined;
    for (let number = 0n; number < BigInt(count); number++) {
      const block = readBlock(this.block(number) ?? new Uint8Array());
      if (last === undefined) {
        if (block.number !== 0n || !block.hash.equals(this.#channel.channelHash)) throw new Error("another channel");
      } else {
        requireFollows(block, last);
        if (!isSignedByOrderer(block, this.#channel.ordererMembership))
          throw new Error(`block ${number} is not signed`);
      }
      last = block;
    }
    if (last === undefined) throw new Error(`${this.#path} has no block`);
    return last;
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    for (const { reject } of this.#waiting.splice(0))
      reject(new EnclaveError("LEDGER_UNAVAILABLE", "the ledger was closed before the transaction was ordered"));
    this.#database.close();
  }
}
