/** What a sealer puts its signature to, once for each height, view and phase. */
export type Phase = "pre-prepare" | "prepare" | "commit" | "view-change";

export interface VoteSlot {
  readonly height: number;
  /** From 0 at each height; the proposer is sealer (height + view) mod n. */
  readonly view: number;
  readonly phase: Phase;
}

export interface UnsignedVote extends VoteSlot {
  /** Hash of the block; for a view change, hash of the prepared view and block that it claims. */
  readonly digest: Buffer;
}

export interface Vote extends UnsignedVote {
  /** Index of the sealer that signed. */
  readonly sealer: number;
  readonly signature: Buffer;
}
