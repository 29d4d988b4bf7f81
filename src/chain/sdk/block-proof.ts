import { z } from "zod";
import { proofHolds } from "../consensus/vote.ts";
import type { Chain } from "../ledger/genesis.ts";
import { headerHash } from "../ledger/header.ts";
import type { BlockHeader } from "../ledger/types.ts";
import { hash32, height, signatureList, view } from "./answer-shapes.ts";
import { ChainClientError } from "./errors.ts";

const headerShape = z.object({
  number: height,
  hash: hash32,
  parentInfo: z.array(z.object({ blockHash: hash32 })).max(1),
  timestamp: height,
  sealer: z.number().int().min(0).max(0xffff),
  txsCount: z.number().int().min(0).max(0xffff_ffff),
  txsRoot: hash32,
  receiptsRoot: hash32,
  stateRoot: hash32,
  view: view.default(0),
  signatureList,
});

/** A block's header that a quorum of sealers stands for, or the genesis's. */
export interface ProvedHeader {
  readonly header: BlockHeader;
  readonly hash: Buffer;
  /** Sealers whose signatures were checked, by index; none for the genesis block. */
  readonly signers: readonly number[];
}

/**
 * Reads a block's header with its signatures, as `getBlockByNumber` gives them, and checks it against the genesis alone.
 *
 * @throws {ChainClientError} `ANSWER_INVALID` for another form; `PROOF_REFUSED` for a header that no quorum has signed, or another
 *   height's.
 */
export function checkHeader(chain: Chain, wantedHeight: number, answer: unknown): ProvedHeader {
  const parsed = headerShape.safeParse(answer);
  if (!parsed.success) throw new ChainClientError("ANSWER_INVALID", "the node's answer is not a block's header");
  const { data } = parsed;
  if (data.number !== wantedHeight)
    throw new ChainClientError("PROOF_REFUSED", `the node was asked for block ${wantedHeight} and gave ${data.number}`);
  if (wantedHeight === 0) {
    if (!data.hash.equals(chain.genesisHash))
      throw new ChainClientError("PROOF_REFUSED", "the node's chain has another genesis than config.genesis gives");
    return { header: chain.genesisHeader, hash: chain.genesisHash, signers: [] };
  }
  const header: BlockHeader = {
    height: data.number,
    parentHash: data.parentInfo[0]?.blockHash ?? Buffer.alloc(0),
    timestampMs: data.timestamp,
    proposer: data.sealer,
    transactionCount: data.txsCount,
    transactionsRoot: data.txsRoot,
    receiptsRoot: data.receiptsRoot,
    stateRoot: data.stateRoot,
  };
  const hash = headerHash(chain.suite, header);
  if (!proofHolds(chain, { header, hash, proof: { view: data.view, signatures: data.signatureList } }))
    throw new ChainClientError("PROOF_REFUSED", "no quorum of the chain's sealers has signed the block");
  return { header, hash, signers: data.signatureList.map(({ sealer }) => sealer) };
}
