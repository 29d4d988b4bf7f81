import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import { KVReadSchema, KVRWSetSchema, KVWriteSchema } from "../messages/generated/fabric/rwset_pb.ts";
import { type FPCKVSet, FPCKVSetSchema } from "../messages/generated/fpc/fpc_pb.ts";
import type { ConfidentialState } from "./confidential-chaincode.ts";
import { LedgerValues, type StateSource } from "./ledger-values.ts";

/** Encrypts values under the state encryption keys that the enclave holds. */
export interface StateCipher {
  /** Under the active generation; the same call gives the same bytes in every enclave that holds the same keys. */
  encrypt(key: string, value: Uint8Array): Buffer;
  /** @throws EnclaveError BAD_CIPHERTEXT; NOT_PROVISIONED: of a generation that this enclave does not hold */
  decrypt(key: string, stored: Uint8Array): Buffer;
}

const maxReads = 1000;
/** The names of all that is read go into one question to the ledger. */
const maxReadKeyBytes = 1 << 18;
const maxValueBytes = 1 << 20;

/**
 * The state as one call sees it. A value that is read is the ledger's ({@link LedgerValues}); it is noted with its hash. What is
 * written is kept back: both go into the signed answer, and peers apply it only where the hashes are still those of their own
 * state.
 */
export class EncryptedState implements ConfidentialState {
  readonly #cipher: StateCipher;
  readonly #values: LedgerValues;
  readonly #readHashes = new Map<string, Buffer>();
  readonly #read = new Map<string, Promise<Buffer | undefined>>();
  readonly #opened: Buffer[] = [];
  readonly #written = new Map<string, Buffer | undefined>();
  #readKeyBytes = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(cipher: StateCipher, source: StateSource) {
    this.#cipher = cipher;
    this.#values = new LedgerValues(source);
  }

  get(key: string): Promise<Buffer | undefined> {
    const value = this.#get(key);
    // A chaincode that does not wait for it leaves nobody to hear of a failure, which would end the enclave.
    value.catch(() => undefined);
    return value;
  }

  async #get(key: string): Promise<Buffer | undefined> {
    checkKey(key);
    const value = this.#written.has(key) ? this.#written.get(key) : await this.#onLedger(key);
    return value === undefined ? undefined : Buffer.from(value);
  }

  put(key: string, value: Uint8Array): void {
    checkKey(key);
    if (value.length > maxValueBytes) throw new EnclaveError("MALFORMED", `the value of ${key} is too long`);
    this.#written.get(key)?.fill(0);
    this.#written.set(key, Buffer.from(value));
  }

  delete(key: string): void {
    checkKey(key);
    this.#written.get(key)?.fill(0);
    this.#written.set(key, undefined);
  }

  /** Whether anything was written or deleted, be it with the value that was there. */
  get hasWrites(): boolean {
    return this.#written.size > 0;
  }

  /**
   * Waits for the reads that the chaincode did not wait for. Throws what one failed with, also where the chaincode went on: a host
   * may make reads fail, or last, and must get nothing by it.
   */
  async requireAllRead(): Promise<void> {
    for (let waitedFor = 0; waitedFor < this.#read.size; ) {
      waitedFor = this.#read.size;
      await Promise.allSettled(this.#read.values());
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** For an answer that goes out before any peer has checked what it rests on. @throws EnclaveError CONFLICT: it was never so at one time */
  requireOneTime(): Promise<void> {
    return this.#values.requireOneTime();
  }

  /** What was read and written, keys in byte order; without the writes where the call was refused. */
  readWriteSet(withWrites: boolean): FPCKVSet {
    const reads = [...this.#readHashes].sort(([a], [b]) => compare(a, b));
    const writes = withWrites ? [...this.#written.keys()].sort(compare) : [];
    return create(FPCKVSetSchema, {
      rwSet: create(KVRWSetSchema, {
        reads: reads.map(([key]) => create(KVReadSchema, { key })),
        writes: writes.map((key) => {
          const value = this.#written.get(key);
          return value === undefined
            ? create(KVWriteSchema, { key, isDelete: true })
            : create(KVWriteSchema, { key, value: this.#cipher.encrypt(key, value) });
        }),
      }),
      readValueHashes: reads.map(([, hash]) => hash),
    });
  }

  /** Wipes what is in clear. */
  [Symbol.dispose](): void {
    for (const value of [...this.#opened, ...this.#written.values()]) value?.fill(0);
    this.#read.clear();
    this.#written.clear();
  }

  #onLedger(key: string): Promise<Buffer | undefined> {
    const known = this.#read.get(key);
    if (known !== undefined) return known;
    this.#readKeyBytes += Buffer.byteLength(key);
    if (this.#read.size >= maxReads || this.#readKeyBytes > maxReadKeyBytes)
      throw new EnclaveError(
        "MALFORMED",
        `a call reads more than ${maxReads} keys, or their names have more than ${maxReadKeyBytes} bytes`,
      );
    const reading = this.#open(key).catch((error: unknown) => {
      this.#failure ??= { error };
      throw error;
    });
    this.#read.set(key, reading);
    return reading;
  }

  async #open(key: string): Promise<Buffer | undefined> {
    const stored = await this.#values.read(key);
    // As upstream: an absent value has the hash of an empty one. Ciphertexts are never empty.
    this.#readHashes.set(key, sha256(stored ?? new Uint8Array()));
    if (stored === undefined) return undefined;
    const value = this.#cipher.decrypt(key, stored);
    this.#opened.push(value);
    return value;
  }
}

function checkKey(key: string): void {
  // Fabric keeps U+0000 for composite keys and U+10FFFF for the end of ranges.
  if (key === "" || key.length > 1024 || key.includes("\u0000") || key.includes("\u{10ffff}") || !key.isWellFormed())
    throw new EnclaveError(
      "MALFORMED",
      "a key of the state is empty, too long, or has a character that Fabric keeps for itself",
    );
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
