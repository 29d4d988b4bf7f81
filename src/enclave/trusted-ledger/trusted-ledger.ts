import type { RecordName } from "../ercc/registry-state.ts";

/** A record as it was read: where it was written last. */
export interface ReadVersion {
  /** The namespace, U+0000, the key. */
  readonly key: string;
  readonly block: bigint;
  readonly transaction: bigint;
}

/** What has been seen of the ledger. Whoever hands it to the next opening of the same ledger is told nothing older there. */
export interface SeenLedger {
  /** The newest block that an answer rested on; 0 where answers do not tell. */
  readonly block: bigint;
  /** The newest that answers were made from, newest first; of the registry and of the chaincodes' definitions. */
  readonly records: readonly ReadVersion[];
}

/**
 * What an enclave knows of the ledger for certain, though everything that it hears comes through an untrusted host
 * (steps 16 and 24 of the document). Each answer is authentic and fresh, or there is none.
 */
export interface TrustedLedger {
  /** At this time. */
  readonly seen: SeenLedger;
  /** Whether this enclave may endorse for the chaincode: definition, policy, revocation, evidence (decision 0609). */
  canEndorse(chaincodeId: string, enclaveId: string): Promise<boolean>;
  /**
   * A record of ERCC; undefined where there is none.
   *
   * @throws EnclaveError REPLAY: answers that are not of this request, or older than ones seen; BAD_SIGNATURE: too few
   *   organisations, or not theirs; WRONG_CONTEXT: another channel or chaincode; LEDGER_UNAVAILABLE
   */
  record(name: RecordName): Promise<Uint8Array | undefined>;
  /**
   * SHA-256 of what the private chaincode's own state has under each key, all at one time and in the order of the keys; undefined
   * where there is none. A key may be a composite one.
   *
   * @param minimumBlock - What a ledger enclave's answer has to rest on at least. Peers of a quorum are asked as they are: none of
   *   them says at which block it is.
   * @throws EnclaveError as {@link record}
   */
  stateHashes(keys: readonly string[], minimumBlock?: bigint): Promise<readonly (Uint8Array | undefined)[]>;
  /**
   * Whether msp.SerializedIdentity is one of a member of the channel, whose certificate is valid now.
   *
   * @throws EnclaveError as {@link record}
   */
  isMember(serializedIdentity: Uint8Array): Promise<boolean>;
}
