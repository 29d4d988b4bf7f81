import { maxBlockBytes } from "../ledger/block.ts";

/** Longest frame: one block at its largest, with its lengths, certificates and proofs (64 sealers' view changes: 0.4 MiB). */
export const maxFrameBytes: number = maxBlockBytes + 1024 * 1024;
/** Blocks in one answer to a late node, which also end when they reach the size of one block. */
export const maxSyncBlocks = 16;
export const maxGossipTransactions = 256;
/** How many views above its own a replica keeps votes of. */
export const viewWindow = 2;
/** Views end here: with time doubling up to its cap that is centuries of one height. */
export const maxView = 1_000_000_000;
export const maxEvidence = 64;
