/** A channel as clients see it: Fabric through its gateway, or the embedded ledger of trials and tests. */
export interface Ledger extends AsyncDisposable {
  readonly channelId: string;
  /** The connection of one identity, over the peers that it may ask. */
  connect(identity: LedgerIdentity): Promise<LedgerConnection>;
}

/** An X.509 identity of an organisation. */
export interface LedgerIdentity {
  readonly mspId: string;
  /** PEM. */
  readonly certificate: string;
  /** ECDSA on P-256 with SHA-256 over the message given, in DER with low S, as Fabric wants it. */
  readonly sign: (message: Uint8Array) => Promise<Uint8Array>;
}

export interface LedgerConnection extends AsyncDisposable {
  readonly channelId: string;
  readonly mspId: string;
  /**
   * Asks one peer of the own organisation; nothing is ordered.
   *
   * @returns The chaincode's answer. @throws EnclaveError the reason class that the chaincode aborted with; LEDGER_UNAVAILABLE
   */
  evaluate(chaincode: string, transaction: string, args: readonly (string | Uint8Array)[]): Promise<Buffer>;
  /**
   * Endorsed by as many organisations as the chaincode's policy wants, ordered, and committed when this returns.
   *
   * @throws EnclaveError what an endorser aborted with; CONFLICT (MVCC_READ_CONFLICT, PHANTOM_READ_CONFLICT: nothing is
   *   written); POLICY_DENIED (ENDORSEMENT_POLICY_FAILURE); LEDGER_UNAVAILABLE
   */
  submit(chaincode: string, transaction: string, args: readonly string[]): Promise<CommittedTransaction>;
  /**
   * Has a proposal that somebody else made endorsed by one peer of each organisation, and orders nothing: the answers are for
   * the maker to verify (signed quorum reads).
   *
   * @param proposal - protos.Proposal whose creator is this connection's identity
   * @returns protos.ProposalResponse of each peer that answered
   */
  endorse(proposal: Uint8Array, organisations: readonly string[]): Promise<readonly Uint8Array[]>;
  /** Committed blocks (common.Block) from `number` on, each once and in order, for as long as the caller takes them. */
  blocks(from: bigint, signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface CommittedTransaction {
  readonly txId: string;
  readonly blockNumber: bigint;
  readonly result: Buffer;
}
