import { merkleRoot } from "./merkle.ts";
import { encodeReceipt, receiptStatus } from "./receipt.ts";
import { maxStateBytes, type StateTree } from "./state-tree.ts";
import type { ChainSuite } from "./suite.ts";
import type { Receipt, StateWrite, Transaction } from "./types.ts";

/** What a list of transactions does to a state. */
export interface Outcome {
  readonly receipts: readonly Receipt[];
  /** In the order of the transactions; a key may come more than once, and the last one stands. */
  readonly writes: readonly StateWrite[];
  readonly state: StateTree;
  readonly transactionsRoot: Buffer;
  readonly receiptsRoot: Buffer;
  readonly stateRoot: Buffer;
}

/**
 * Runs the key-value contract over the transactions, in their order. The state given stays as it is. A `set` that would make it count
 * for more than `mostStateBytes` changes nothing; one that makes it smaller is always done.
 */
export function execute(
  suite: ChainSuite,
  before: StateTree,
  height: number,
  transactions: readonly Transaction[],
  mostStateBytes: number = maxStateBytes,
): Outcome {
  const receipts: Receipt[] = [];
  const writes: StateWrite[] = [];
  let state = before;
  for (const [index, { operation, hash }] of transactions.entries()) {
    const base = { transactionHash: hash, height, index };
    if (operation.kind === "set") {
      const next = state.set(operation.key, operation.value);
      const fits = next.bytes <= Math.max(mostStateBytes, state.bytes);
      if (fits) {
        state = next;
        writes.push({ key: operation.key, value: operation.value });
      }
      receipts.push({
        ...base,
        status: fits ? receiptStatus.done : receiptStatus.stateFull,
        output: Buffer.alloc(0),
      });
    } else {
      const value = state.get(operation.key);
      receipts.push({
        ...base,
        status: value === undefined ? receiptStatus.keyNotFound : receiptStatus.done,
        output: value ?? Buffer.alloc(0),
      });
    }
  }
  return {
    receipts,
    writes,
    state,
    transactionsRoot: merkleRoot(
      suite,
      transactions.map((transaction) => transaction.encoded),
    ),
    receiptsRoot: merkleRoot(suite, receipts.map(encodeReceipt)),
    stateRoot: state.root(),
  };
}
