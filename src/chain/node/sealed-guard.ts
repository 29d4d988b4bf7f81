import { kernelRandomBytes } from "../../crypto/kernel-random.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { aeadOpen, aeadSeal, hkdf, nonceBytes, type Suite, type SuiteName, suites } from "../../crypto/suite.ts";
import { decodeGuardRecord, encodeGuardRecord, type GuardRecord } from "../consensus/guard-record.ts";
import { BinaryWriter } from "../ledger/binary.ts";
import { ChainNodeError } from "./errors.ts";
import type { GuardEntry } from "./guard-format.ts";
import type { GuardOutcome, VoteGuard } from "./replica-host.ts";

const purpose = Buffer.from("strongroom/chain/guard/v1", "latin1");

/**
 * The double-sign guard of a node whose store is encrypted. A commit's record carries the block that was prepared, and with it
 * its transactions: that part is sealed, `nonce (12) ‖ ciphertext ‖ tag (16)`, under HKDF of the store's data key with the
 * suite's hash, no salt and info `"strongroom/chain/guard/v1"`. The associated data is that info, the height (8), the view (4)
 * and the digest (32). Which votes were promised stays readable without the key.
 */
export class SealedGuard implements VoteGuard, Disposable {
  readonly #guard: VoteGuard;
  readonly #suite: Suite;
  readonly #key: SecretBuffer;

  /** @param dataKey - Stays the caller's. */
  constructor(guard: VoteGuard, dataKey: SecretBuffer, suite: SuiteName) {
    this.#guard = guard;
    this.#suite = suites[suite];
    this.#key = hkdf(this.#suite, dataKey, Buffer.alloc(0), purpose, this.#suite.keyBytes);
  }

  /**
   * What is promised, opened.
   *
   * @throws {ChainNodeError} `GUARD_DAMAGED` for a prepared block that is not sealed, or under another key.
   */
  get entries(): readonly GuardEntry[] {
    return this.#guard.entries.map(({ height, record }) => ({ height, record: this.#opened(record) }));
  }

  get written(): number {
    return this.#guard.written;
  }

  get closedHeight(): number {
    return this.#guard.closedHeight;
  }

  async store({ height, record }: GuardEntry): Promise<GuardOutcome> {
    return this.#guard.store({ height, record: this.#sealed(record) });
  }

  forget(upToHeight: number): Promise<void> {
    return this.#guard.forget(upToHeight);
  }

  [Symbol.dispose](): void {
    this.#key[Symbol.dispose]();
  }

  #sealed(encoded: Buffer): Buffer {
    const record = decodeGuardRecord(encoded);
    const { prepared } = record;
    if (prepared === undefined) return encoded;
    const nonce = kernelRandomBytes(nonceBytes);
    const sealed = this.#key.expose((key) => aeadSeal(this.#suite, key, nonce, boundTo(record), prepared));
    return encodeGuardRecord({ ...record, prepared: Buffer.concat([nonce, sealed]) });
  }

  #opened(encoded: Buffer): Buffer {
    const record = decodeGuardRecord(encoded);
    const { prepared } = record;
    if (prepared === undefined) return encoded;
    const nonce = prepared.subarray(0, nonceBytes);
    using opened =
      nonce.length < nonceBytes
        ? undefined
        : this.#key.expose((key) => aeadOpen(this.#suite, key, nonce, boundTo(record), prepared.subarray(nonceBytes)));
    if (opened === undefined)
      throw new ChainNodeError(
        "GUARD_DAMAGED",
        `the double-sign guard's prepared block of height ${record.height} does not open under the store's data key: this node must not sign`,
      );
    return opened.expose((bytes) => encodeGuardRecord({ ...record, prepared: Buffer.from(bytes) }));
  }
}

function boundTo({ height, view, digest }: GuardRecord): Buffer {
  return new BinaryWriter().fixed(purpose).u64(height).u32(view).fixed(digest).end();
}
