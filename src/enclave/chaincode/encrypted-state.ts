import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import { KVReadSchema, KVRWSetSchema, KVWriteSchema } from "../messages/generated/fabric/rwset_pb.ts";
import { type FPCKVSet, FPCKVSetSchema } from "../messages/generated/fpc/fpc_pb.ts";
import type { ConfidentialState } from "./confidential-chaincode.ts";

/** Encrypts values under the state encryption keys that the enclave holds. */
export interface StateCipher {
  /** Under the active generation; the same call gives the same bytes in every enclave that holds the same keys. */
  encrypt(key: string, value: Uint8Array): Buffer;
  /** @throws EnclaveError BAD_CIPHERTEXT; NOT_PROVISIONED: of a generation that this enclave does not hold */
  decrypt(key: string, stored: Uint8Array): Buffer;
}

const maxReads = 1000;
const maxValueBytes = 1 << 20;

/**
 * The state as one call sees it, over stored values that the untrusted host brings. What was read is noted with its hash and
 * what was written is kept back: both go into the signed answer, and peers apply it only where the hashes are those of their
 * own state. So a host that lies about a value gets an answer that no peer accepts.
 */
export class EncryptedState implements ConfidentialState {
  readonly #cipher: StateCipher;
  readonly #stored: (key: string) => Promise<Uint8Array | undefined>;
  readonly #readHashes = new Map<string, Buffer>();
  readonly #plain = new Map<string, Buffer | undefined>();
  readonly #written = new Set<string>();

  /** @param stored - Asks the host; undefined where there is no such key. */
  constructor(cipher: StateCipher, stored: (key: string) => Promise<Uint8Array | undefined>) {
    this.#cipher = cipher;
    this.#stored = stored;
  }

  async get(key: string): Promise<Buffer | undefined> {
    checkKey(key);
    if (!this.#plain.has(key)) {
      if (this.#readHashes.size >= maxReads)
        throw new EnclaveError("MALFORMED", `a call reads more than ${maxReads} keys`);
      const stored = await this.#stored(key);
      // As upstream: an absent value has the hash of an empty one. Ciphertexts are never empty.
      this.#readHashes.set(key, sha256(stored ?? new Uint8Array()));
      this.#plain.set(key, stored === undefined || stored.length === 0 ? undefined : this.#cipher.decrypt(key, stored));
    }
    const value = this.#plain.get(key);
    return value === undefined ? undefined : Buffer.from(value);
  }

  put(key: string, value: Uint8Array): void {
    checkKey(key);
    if (value.length > maxValueBytes) throw new EnclaveError("MALFORMED", `the value of ${key} is too long`);
    this.#plain.set(key, Buffer.from(value));
    this.#written.add(key);
  }

  delete(key: string): void {
    checkKey(key);
    this.#plain.set(key, undefined);
    this.#written.add(key);
  }

  /** What was read and written, keys in byte order; without the writes where the call was refused. */
  readWriteSet(withWrites: boolean): FPCKVSet {
    const reads = [...this.#readHashes].sort(([a], [b]) => compare(a, b));
    const writes = withWrites ? [...this.#written].sort(compare) : [];
    return create(FPCKVSetSchema, {
      rwSet: create(KVRWSetSchema, {
        reads: reads.map(([key]) => create(KVReadSchema, { key })),
        writes: writes.map((key) => {
          const value = this.#plain.get(key);
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
    for (const value of this.#plain.values()) value?.fill(0);
    this.#plain.clear();
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
