import type { RegistryState } from "../../ercc/registry-state.ts";

/**
 * What a chaincode has within one transaction. Reads are of what is committed: as everywhere in Fabric, a value that the
 * transaction itself has put is not read back.
 */
export interface ChaincodeStub extends RegistryState {
  /** Its name. */
  readonly chaincodeId: string;
  /** The first argument. */
  readonly transaction: string;
  /** The others, as text. */
  readonly args: readonly string[];
  /** The others, as they came. */
  readonly argBytes: readonly Uint8Array[];
  /** Whose peer runs it. */
  readonly peerMspId: string;
  /** protos.SignedProposal */
  readonly signedProposal: Uint8Array;
  /** Undefined where there is none. */
  getState(key: string): Promise<Uint8Array | undefined>;
  putState(key: string, value: Uint8Array): Promise<void>;
  deleteState(key: string): Promise<void>;
  /** Keys from `startKey` on and before `endKey` (empty: to the last). */
  stateRange(startKey: string, endKey: string): AsyncIterable<{ readonly key: string; readonly value: Uint8Array }>;
  /** Another chaincode's answer; what that one reads is in this transaction's read set. It may not write. */
  query(chaincode: string, transaction: string, args: readonly string[]): Promise<Uint8Array>;
}

/**
 * A chaincode. With the same state and proposal it has to do the same at every peer. What it throws aborts the transaction:
 * an EnclaveError as `CODE: message`.
 */
export type Chaincode = (stub: ChaincodeStub) => Promise<string | Uint8Array>;
