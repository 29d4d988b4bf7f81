import { BinaryReader, BinaryWriter } from "./binary.ts";
import { hashBytes } from "./suite.ts";
import { maxValueBytes } from "./transaction.ts";
import type { Receipt } from "./types.ts";

/** Receipt statuses. */
export const receiptStatus = {
  done: 0,
  /** The state has no room for what a `set` would add. */
  stateFull: 12,
  keyNotFound: 16,
} as const;

const statuses: ReadonlySet<number> = new Set(Object.values(receiptStatus));

/** transaction hash (32) ‖ height (8) ‖ index (4) ‖ status (1) ‖ output. The receipts root is over these encodings. */
export function encodeReceipt(receipt: Receipt): Buffer {
  return new BinaryWriter()
    .fixed(receipt.transactionHash)
    .u64(receipt.height)
    .u32(receipt.index)
    .u8(receipt.status)
    .bytes(receipt.output)
    .end();
}

/** @throws {LedgerError} `ENCODING_INVALID`. */
export function decodeReceipt(encoded: Buffer): Receipt {
  const reader = new BinaryReader(encoded, "the receipt");
  const receipt: Receipt = {
    transactionHash: reader.fixed(hashBytes),
    height: reader.u64(),
    index: reader.u32(),
    status: reader.u8(),
    output: reader.bytes(maxValueBytes),
  };
  if (!statuses.has(receipt.status)) throw reader.invalid("has an unknown status");
  reader.end();
  return receipt;
}
