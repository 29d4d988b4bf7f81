import { z } from "zod";
import { proofHolds } from "../consensus/vote.ts";
import { BinaryReader } from "../ledger/binary.ts";
import { maxBlockTransactions } from "../ledger/block.ts";
import type { Chain } from "../ledger/genesis.ts";
import { headerHash, readHeader } from "../ledger/header.ts";
import { merkleRootOfPath } from "../ledger/merkle.ts";
import { encodeReceipt, receiptStatus } from "../ledger/receipt.ts";
import type { BlockHeader, Receipt } from "../ledger/types.ts";
import { height, hexBytes, signatureList, view } from "./answer-shapes.ts";
import { ChainClientError } from "./errors.ts";

const proofShape = z.strictObject({
  header: hexBytes(1024),
  view,
  signatureList,
  path: z.array(hexBytes(32)).max(32),
});

const receiptShape = z.strictObject({
  transactionHash: hexBytes(32),
  blockNumber: height.min(1),
  transactionIndex: z.number().int().min(0).max(maxBlockTransactions),
  status: z.literal(Object.values(receiptStatus)),
  output: hexBytes(4096),
  receiptProof: proofShape,
});

/** A receipt that a quorum of sealers stands for. */
export interface ProvedReceipt extends Receipt {
  /** The header of the block that holds it. */
  readonly header: BlockHeader;
  readonly blockHash: Buffer;
}

/**
 * Reads a receipt with its proof and checks it against the genesis alone: the commit signatures of a quorum of sealers are over
 * the header, the header has the receipts root and their number, and the receipt's path leads to that root at its place. What a node says beside that counts
 * for nothing.
 *
 * @throws {ChainClientError} `ANSWER_INVALID` for another form; `PROOF_REFUSED` for a proof that does not hold, or another
 *   transaction's.
 */
export function checkReceiptProof(chain: Chain, transactionHash: Buffer, answer: unknown): ProvedReceipt {
  const parsed = receiptShape.safeParse(answer);
  if (!parsed.success)
    throw new ChainClientError("ANSWER_INVALID", "the node's answer is not a receipt with its proof");
  const { receiptProof: proof, ...given } = parsed.data;
  const receipt: Receipt = {
    transactionHash: given.transactionHash,
    height: given.blockNumber,
    index: given.transactionIndex,
    status: given.status,
    output: given.output,
  };
  if (!receipt.transactionHash.equals(transactionHash))
    throw new ChainClientError("PROOF_REFUSED", "the receipt is of another transaction");
  const header = headerOf(proof.header);
  const blockHash = headerHash(chain.suite, header);
  if (header.height !== receipt.height)
    throw new ChainClientError("PROOF_REFUSED", "the receipt and the block of its proof have different heights");
  if (!proofHolds(chain, { header, hash: blockHash, proof: { view: proof.view, signatures: proof.signatureList } }))
    throw new ChainClientError("PROOF_REFUSED", "no quorum of the chain's sealers has signed the block");
  const item = encodeReceipt(receipt);
  const root = merkleRootOfPath(chain.suite, item, receipt.index, header.transactionCount, proof.path);
  if (root === undefined || !root.equals(header.receiptsRoot))
    throw new ChainClientError("PROOF_REFUSED", "the block that the sealers have signed does not hold this receipt");
  return { ...receipt, header, blockHash };
}

function headerOf(bytes: Buffer): BlockHeader {
  try {
    const reader = new BinaryReader(bytes, "the block header");
    const header = readHeader(reader);
    reader.end();
    return header;
  } catch (cause) {
    throw new ChainClientError("ANSWER_INVALID", "the proof's block header is malformed", { cause });
  }
}
