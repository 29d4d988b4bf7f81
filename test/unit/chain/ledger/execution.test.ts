import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { execute } from "../../../../src/chain/ledger/execution.ts";
import { receiptStatus } from "../../../../src/chain/ledger/receipt.ts";
import { StateTree } from "../../../../src/chain/ledger/state-tree.ts";
import { decodeTransaction } from "../../../../src/chain/ledger/transaction.ts";
import type { Operation } from "../../../../src/chain/ledger/types.ts";
import { keyedHashChain } from "../../../simulation/sealers.ts";
import { signedTransaction } from "../../../simulation/transactions.ts";

const test = keyedHashChain(1);
const { suite } = test.chain;

function of(operation: Operation, number: number) {
  return decodeTransaction(suite, signedTransaction(test, Buffer.alloc(16, number), operation));
}

function set(key: string, valueBytes: number, number: number) {
  return of({ kind: "set", key: Buffer.from(key), value: Buffer.alloc(valueBytes) }, number);
}

describe("the contract's state", () => {
  const empty = StateTree.empty(suite);
  /** Room for two entries of a one-byte key with 100 bytes, and no third. */
  const room = 2 * (512 + 1 + 100) + 20;

  it("counts key, value and 512 bytes of each entry once, however it came to be", () => {
    const grown = empty.set(Buffer.from("a"), Buffer.alloc(100)).set(Buffer.from("b"), Buffer.alloc(7));
    assert.equal(grown.bytes, 2 * 513 + 107);
    assert.equal(grown.set(Buffer.from("a"), Buffer.alloc(0)).bytes, 2 * 513 + 7);
    assert.equal(grown.set(Buffer.from("b"), Buffer.alloc(7)).bytes, grown.bytes);
  });

  it("takes no entry that it has no room for, and says so in the receipt", () => {
    const transactions = [set("a", 100, 1), set("b", 100, 2), set("c", 100, 3), set("a", 121, 4), set("a", 120, 5)];
    const { receipts, writes, state } = execute(suite, empty, 1, transactions, room);
    const { done, stateFull } = receiptStatus;
    assert.deepEqual(
      receipts.map(({ status }) => status),
      [done, done, stateFull, stateFull, done],
    );
    assert.deepEqual(
      writes.map(({ key, value }) => [key.toString(), value.length]),
      [
        ["a", 100],
        ["b", 100],
        ["a", 120],
      ],
    );
    assert.equal(state.get(Buffer.from("c")), undefined);
  });

  it("lets a state that is over its limit become smaller, and not larger", () => {
    const over = empty.set(Buffer.from("a"), Buffer.alloc(100));
    const { receipts } = execute(suite, over, 1, [set("a", 101, 1), set("a", 99, 2), set("a", 100, 3)], 10);
    assert.deepEqual(
      receipts.map(({ status }) => status),
      [receiptStatus.stateFull, receiptStatus.done, receiptStatus.stateFull],
    );
  });

  it("gives another receipts root and the state's root as it was for what was not done", () => {
    const refused = execute(suite, empty, 1, [set("a", 1, 1)], 0);
    const done = execute(suite, empty, 1, [set("a", 1, 1)]);
    assert.deepEqual(refused.stateRoot, empty.root());
    assert.notDeepEqual(refused.receiptsRoot, done.receiptsRoot);
    assert.notDeepEqual(refused.stateRoot, done.stateRoot);
  });
});
