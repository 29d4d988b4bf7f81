import { type BinaryReader, BinaryWriter } from "./binary.ts";
import { type ChainSuite, hashBytes } from "./suite.ts";
import type { BlockHeader } from "./types.ts";

/**
 * height (8) ‖ parent (32) ‖ time (8) ‖ proposer (2) ‖ number of transactions (4) ‖ transactions root (32) ‖
 * receipts root (32) ‖ state root (32).
 */
export function encodeHeader(header: BlockHeader): Buffer {
  return new BinaryWriter()
    .u64(header.height)
    .fixed(header.parentHash)
    .u64(header.timestampMs)
    .u16(header.proposer)
    .u32(header.transactionCount)
    .fixed(header.transactionsRoot)
    .fixed(header.receiptsRoot)
    .fixed(header.stateRoot)
    .end();
}

/** @throws {LedgerError} `ENCODING_INVALID`. */
export function readHeader(reader: BinaryReader): BlockHeader {
  return {
    height: reader.u64(),
    parentHash: reader.fixed(hashBytes),
    timestampMs: reader.u64(),
    proposer: reader.u16(),
    transactionCount: reader.u32(),
    transactionsRoot: reader.fixed(hashBytes),
    receiptsRoot: reader.fixed(hashBytes),
    stateRoot: reader.fixed(hashBytes),
  };
}

/** The block's hash: that of `"block" ‖ header`. */
export function headerHash(suite: ChainSuite, header: BlockHeader): Buffer {
  return suite.hash(Buffer.from("block"), encodeHeader(header));
}
