/**
 * A chaincode that runs inside the enclave: what it reads and writes is plain to it alone. Called with the same state and
 * request, two enclaves must write and answer the same: no clock, no randomness, no order that is not defined.
 *
 * An answer with writes reaches the client once the ledger has applied them, and not otherwise. One without writes, a refusal above
 * all, reaches him at once and leaves no trace: a chaincode that answers whether a guess is right without writing is asked any
 * number of times. Anybody on the channel may also call to see whether a call would write, which keys, and how much.
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
  /** An organisation of the channel, by whose authority the certificate is. */
  readonly mspId: string;
  /** SHA-256 of the certificate in DER, upper-case hexadecimal. */
  readonly certificateHash: string;
}

/**
 * State in clear, as the ledger holds it while the call runs; a value written is read back within the same call. Values asked for at
 * once, before the first is waited for, cost one question to the trusted ledger; one after the other, one each.
 */
export interface ConfidentialState {
  /** Undefined where there is none. Where it throws, the whole call is refused, also if the chaincode goes on. */
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
