import { BinaryWriter } from "../ledger/binary.ts";
import type { Chain } from "../ledger/genesis.ts";
import type { FinalBlock, SealerSignature } from "../ledger/types.ts";

/** What a sealer puts its signature to, once for each height, view and phase. */
export type Phase = "pre-prepare" | "prepare" | "commit" | "view-change";

export const phaseCodes: Readonly<Record<Phase, number>> = {
  "pre-prepare": 1,
  prepare: 2,
  commit: 3,
  "view-change": 4,
};

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

const domain = Buffer.from("vote");

/** What is signed: the hash of `"vote" ‖ genesis hash (32) ‖ height (8) ‖ view (4) ‖ phase (1) ‖ digest (32)`. */
export function voteHash(chain: Chain, vote: UnsignedVote): Buffer {
  return chain.suite.hash(
    new BinaryWriter()
      .fixed(domain)
      .fixed(chain.genesisHash)
      .u64(vote.height)
      .u32(vote.view)
      .u8(phaseCodes[vote.phase])
      .fixed(vote.digest)
      .end(),
  );
}

/** True when the vote is signed by the sealer that it names. */
export function isSigned(chain: Chain, vote: Vote): boolean {
  return chain.verify(vote.sealer, voteHash(chain, vote), vote.signature);
}

/** True when a quorum of different sealers has signed this vote, and no signature is a bad one. */
export function quorumSigned(chain: Chain, vote: UnsignedVote, signatures: readonly SealerSignature[]): boolean {
  if (signatures.length < chain.quorum) return false;
  if (new Set(signatures.map(({ sealer }) => sealer)).size !== signatures.length) return false;
  const hash = voteHash(chain, vote);
  return signatures.every(({ sealer, signature }) => chain.verify(sealer, hash, signature));
}

/** True when the block's commit proof is one: whoever holds the genesis can check a block by itself. */
export function proofHolds(chain: Chain, block: Pick<FinalBlock, "header" | "hash" | "proof">): boolean {
  const { height } = block.header;
  const { view, signatures } = block.proof;
  return quorumSigned(chain, { height, view, phase: "commit", digest: block.hash }, signatures);
}
