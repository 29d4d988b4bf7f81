/** The data of the chain. All hashes have 32 bytes, all byte strings are owned by the value that holds them and never changed. */

/** What a transaction asks of the key-value contract. */
export type Operation =
  | { readonly kind: "set"; readonly key: Buffer; readonly value: Buffer }
  | { readonly kind: "get"; readonly key: Buffer };

export interface UnsignedTransaction {
  readonly chainId: string;
  readonly groupId: string;
  /** Hash of the chain's genesis block: chains that share their names do not share transactions. */
  readonly genesisHash: Buffer;
  /** X ‖ Y of the account's public key, 64 bytes: the same body under another key is another transaction. */
  readonly sender: Buffer;
  /** 16 to 32 random bytes that make the transaction unlike every other. */
  readonly nonce: Buffer;
  /** The last height whose block may hold the transaction; at most `blockLimitRange` above the head. */
  readonly blockLimit: number;
  readonly operation: Operation;
}

/** A transaction before its signer is known. */
export type TransactionBody = Omit<UnsignedTransaction, "sender">;

export interface Transaction extends UnsignedTransaction {
  /** Chain hash of the unsigned encoding: what the sender signs, and the transaction's name. */
  readonly hash: Buffer;
  /** `sm`: r ‖ s ‖ X ‖ Y (128 bytes). `standard`: r ‖ s ‖ v, v 0 or 1 (65 bytes). */
  readonly signature: Buffer;
  /** The canonical encoding, signature included. */
  readonly encoded: Buffer;
}

export interface BlockHeader {
  /** The genesis block has 0. */
  readonly height: number;
  readonly parentHash: Buffer;
  /** Unix time in milliseconds as its proposer saw it; above its parent's. */
  readonly timestampMs: number;
  /** Index of the sealer that made the block, in the genesis's list. */
  readonly proposer: number;
  /** How many transactions, and so receipts, the block holds: what gives the two trees their form. */
  readonly transactionCount: number;
  readonly transactionsRoot: Buffer;
  readonly receiptsRoot: Buffer;
  /** Root of the state after the block. */
  readonly stateRoot: Buffer;
}

export interface SealerSignature {
  /** Index in the genesis's list of sealers. */
  readonly sealer: number;
  /** `sm`: r ‖ s (64 bytes). `standard`: r ‖ s ‖ v (65 bytes). */
  readonly signature: Buffer;
}

/** Commit signatures of a quorum of sealers over one block in one view: the checkpoint that makes it final. */
export interface CommitProof {
  readonly view: number;
  /** By sealer, ascending, without repeats. */
  readonly signatures: readonly SealerSignature[];
}

export interface Block {
  readonly header: BlockHeader;
  /** Chain hash of the header. */
  readonly hash: Buffer;
  readonly transactions: readonly Transaction[];
}

export interface FinalBlock extends Block {
  readonly proof: CommitProof;
}

export interface Receipt {
  readonly transactionHash: Buffer;
  readonly height: number;
  /** Position in the block. */
  readonly index: number;
  /** 0: done. 12: the state is full (`set`). 16: the key was not found (`get`). */
  readonly status: number;
  /** The value read by `get`; empty otherwise. */
  readonly output: Buffer;
}

/** One entry of the key-value contract that a block has written. */
export interface StateWrite {
  readonly key: Buffer;
  readonly value: Buffer;
}
