/**
 * A chaincode that runs inside the enclave: what it reads and writes is plain to it alone. Called with the same state and
 * request, two enclaves must write the same: no clock, no randomness, no order that is not defined.
 */
export interface ConfidentialChaincode {
  /** @returns The answer; the writes count only where its status is 200 */
  invoke(call: ChaincodeCall): Promise<ChaincodeAnswer>;
}

export interface ChaincodeCall {
  readonly transaction: string;
  readonly args: readonly string[];
  /** Who signed the proposal. */
  readonly caller: Caller;
  readonly state: ConfidentialState;
}

export interface Caller {
  /**
   * As the proposal says. Peers hold it against the certificate before they apply what was written; of a call whose answer is
   * not brought to them, nobody has. So what may be read is decided by the certificate alone.
   */
  readonly mspId: string;
  /** SHA-256 of the certificate in DER, upper-case hexadecimal. */
  readonly certificateHash: string;
}

/**
 * State in clear. A value written is read back within the same call. Only peers find out whether a value that was read is the
 * one on the ledger: a host may bring one that was there before, or that an enclave wrote and nobody applied, and then gets an
 * answer that it can read where it is the client's as well. So an answer must give away nothing but what its client might
 * have had of any state that calls of his own could have made.
 */
export interface ConfidentialState {
  /** Undefined where there is none. */
  get(key: string): Promise<Buffer | undefined>;
  put(key: string, value: Uint8Array): void;
  delete(key: string): void;
}

/** As protos.Response: 200 for done, 400 and above for refused. */
export interface ChaincodeAnswer {
  readonly status: number;
  readonly message: string;
  readonly payload: Uint8Array;
}
