import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { proofHolds } from "../../../../src/chain/consensus/vote.ts";
import { decodeFinalBlock, encodeFinalBlock } from "../../../../src/chain/ledger/block.ts";
import { Chain } from "../../../../src/chain/ledger/genesis.ts";
import { headerHash } from "../../../../src/chain/ledger/header.ts";
import { Ledger } from "../../../../src/chain/ledger/ledger.ts";
import { decodeReceipt, encodeReceipt } from "../../../../src/chain/ledger/receipt.ts";
import { blockLimitRange } from "../../../../src/chain/ledger/seen-transactions.ts";
import { decodeTransaction } from "../../../../src/chain/ledger/transaction.ts";
import { TransactionPool } from "../../../../src/chain/ledger/transaction-pool.ts";
import type { Block, BlockHeader, FinalBlock, StateWrite, Transaction } from "../../../../src/chain/ledger/types.ts";
import { signed } from "../../../simulation/cheat.ts";
import { keyedHashChain, signedChain } from "../../../simulation/sealers.ts";
import { numberedSet, signedTransaction } from "../../../simulation/transactions.ts";

const test = keyedHashChain(4);
const { chain } = test;
const good = (): boolean => true;

function set(number: number, changes = {}): Transaction {
  return decodeTransaction(chain.suite, numberedSet(test, number, changes));
}

/** Appends blocks of the transactions; returns them with proofs. */
function grown(ledger: Ledger, ...blocks: readonly (readonly Transaction[])[]): FinalBlock[] {
  return blocks.map((transactions) => {
    const executed = ledger.propose(transactions, 0, 0);
    ledger.append(executed);
    const { hash, header } = executed.block;
    const vote = { height: header.height, view: 0, phase: "commit", digest: hash } as const;
    const signatures = [0, 2, 3].map((sealer) => ({ sealer, signature: signed(test, sealer, vote) }));
    return { ...executed.block, proof: { view: 0, signatures } };
  });
}

function altered(block: Block, change: Partial<BlockHeader>): Block {
  const header = { ...block.header, ...change };
  return { ...block, header, hash: headerHash(chain.suite, header) };
}

describe("a ledger", () => {
  it("runs the contract: a set value is read by the next get, a missing key has its own status", () => {
    const ledger = new Ledger(chain);
    const get = (key: string, nonce: number): Transaction =>
      decodeTransaction(
        chain.suite,
        signedTransaction(test, Buffer.alloc(16, nonce), { kind: "get", key: Buffer.from(key) }),
      );
    const executed = ledger.propose([set(1), get("key-1", 1), get("absent", 2)], 0, 5);
    assert.deepEqual(
      executed.receipts.map(({ status, output }) => [status, output.toString()]),
      [
        [0, ""],
        [0, "value-1"],
        [16, ""],
      ],
    );
    assert.equal(ledger.get(Buffer.from("key-1")), undefined, "not before the block is appended");
    ledger.append(executed);
    assert.equal(ledger.get(Buffer.from("key-1"))?.toString(), "value-1");
  });

  it("refuses a block that another ledger's proposal was changed into, whatever was changed", () => {
    const ledger = new Ledger(chain);
    const { block } = new Ledger(chain).propose([set(1), set(2)], 0, 5);
    assert.ok(ledger.execute(block, good));
    const other = Buffer.alloc(32, 9);
    const changes: Partial<BlockHeader>[] = [
      { height: 2 },
      { parentHash: other },
      { timestampMs: chain.genesisHeader.timestampMs },
      { proposer: 4 },
      { transactionCount: 3 },
      { transactionsRoot: other },
      { receiptsRoot: other },
      { stateRoot: other },
    ];
    for (const change of changes) assert.throws(() => ledger.execute(altered(block, change), good), refusedBlock);
    for (const transactions of [[set(1)], [set(2), set(1)], [set(1), set(2), set(2)], [set(1), set(3)]])
      assert.throws(() => ledger.execute({ ...block, transactions }, good), refusedBlock);
    assert.throws(() => ledger.execute(block, ({ nonce }) => nonce[3] !== 2), refusedBlock, "a bad signature");
  });

  it("takes a transaction once, within its block limit, on its own chain", () => {
    const ledger = new Ledger(chain);
    grown(ledger, [set(1)], [set(2)]);
    assert.match(ledger.refusalOf(set(1)) ?? "", /already/);
    assert.match(ledger.refusalOf(set(3, { blockLimit: 2 })) ?? "", /past/);
    assert.equal(ledger.refusalOf(set(3, { blockLimit: 3 })), undefined);
    assert.equal(ledger.refusalOf(set(3, { blockLimit: 2 + blockLimitRange })), undefined);
    assert.match(ledger.refusalOf(set(3, { blockLimit: 3 + blockLimitRange })) ?? "", /above the head/);
    assert.match(ledger.refusalOf(set(3, { chainId: "other" })) ?? "", /other/);
    assert.match(ledger.refusalOf(set(3, { groupId: "other" })) ?? "", /other/);
    assert.match(ledger.refusalOf(set(3, { genesisHash: Buffer.alloc(32, 1) })) ?? "", /its genesis is 0101/);
    const { block } = new Ledger(chain).propose([set(9, { chainId: "other" })], 0, 5);
    assert.throws(() => new Ledger(chain).execute(block, good), refusedBlock);
  });

  it("forgets a transaction only when its block limit keeps it out", () => {
    const ledger = new Ledger(chain);
    const longest = set(1, { blockLimit: blockLimitRange });
    grown(ledger, [longest]);
    for (let height = 2; height <= blockLimitRange + 1; height++) {
      assert.ok(ledger.refusalOf(longest) !== undefined, `at ${height}`);
      grown(ledger, []);
    }
    assert.match(ledger.refusalOf(longest) ?? "", /past/);
  });

  it("comes back from a store with its state and its memory of transactions", async () => {
    const ledger = new Ledger(chain);
    const blocks = grown(ledger, [set(1), set(8)], [], [set(2)]);
    const entries = entriesOf(blocks);
    for (const from of [0, 1]) {
      const restored = await Ledger.restore(chain, { blocks: blocks.slice(from), entries });
      assert.deepEqual([restored.height, restored.headHash], [3, ledger.headHash]);
      assert.match(restored.refusalOf(set(2)) ?? "", /already/);
      assert.deepEqual(restored.propose([set(5)], 1, 9).block, ledger.propose([set(5)], 1, 9).block);
    }
  });

  it("does not come back from a store that lacks an entry or a block, or has another", async () => {
    const blocks = grown(new Ledger(chain), [set(1)], [set(2)], [set(3)]);
    const entries = entriesOf(blocks);
    const [first, second, third] = blocks;
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    const other = { key: Buffer.from("key-1"), value: Buffer.from("forged") };
    for (const stored of [
      { blocks, entries: entries.slice(1) },
      { blocks, entries: [...entries, other] },
      { blocks: [first, third], entries },
      { blocks: [third, second], entries },
      { blocks: [first, second], entries },
      { blocks: [], entries },
    ])
      await assert.rejects(Ledger.restore(chain, stored), { code: "LEDGER_DAMAGED" });
  });

  it("does not append a block to another head than it was run on", () => {
    const ledger = new Ledger(chain);
    const executed = ledger.propose([set(1)], 0, 5);
    grown(ledger, []);
    assert.throws(() => ledger.append(executed), refusedBlock);
  });
});

describe("a final block", () => {
  const [block] = grown(new Ledger(chain), [set(1), set(2)]);
  assert.ok(block !== undefined);

  it("reads back as it was, and its proof holds", () => {
    const read = decodeFinalBlock(chain.suite, encodeFinalBlock(block));
    assert.deepEqual(read, block);
    assert.ok(proofHolds(chain, read));
  });

  it("has no proof with too few, repeated, forged or foreign signatures, or those of another view or block", () => {
    const { view, signatures } = block.proof;
    const [first, second, third] = signatures;
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    for (const bad of [
      { view, signatures: [first, second] },
      { view, signatures: [first, second, second] },
      { view, signatures: [first, second, { ...third, signature: second.signature }] },
      { view, signatures: [first, second, { ...third, sealer: 4 }] },
      { view: 1, signatures },
      { view, signatures: [] },
    ])
      assert.ok(!proofHolds(chain, { ...block, proof: bad }));
    assert.ok(!proofHolds(chain, { ...block, hash: Buffer.alloc(32) }));
    const abroad = new Chain(
      { suite: "sm", chainId: "chain1", groupId: "group0", timestampMs: 0, sealers: chain.sealers },
      chain.suite,
    );
    assert.ok(!proofHolds(abroad, block), "on another chain with the same sealers");
  });
});

describe("the transaction pool", () => {
  const pooled = (): { ledger: Ledger; pool: TransactionPool } => {
    const ledger = new Ledger(chain);
    return { ledger, pool: new TransactionPool(ledger) };
  };

  it("keeps a good transaction once, in the order of arrival", () => {
    const { pool } = pooled();
    assert.equal(pool.add(set(2)).kind, "added");
    assert.equal(pool.add(set(1)).kind, "added");
    assert.equal(pool.add(set(2)).kind, "known");
    assert.deepEqual(
      pool.next(9).map(({ hash }) => hash),
      [set(2).hash, set(1).hash],
    );
    assert.equal(pool.next(1).length, 1);
  });

  it("refuses a stale, foreign or forged transaction", () => {
    const { pool } = pooled();
    const forged = { ...set(1), signature: Buffer.alloc(128) };
    for (const bad of [set(1, { blockLimit: 0 }), set(1, { chainId: "other" }), forged])
      assert.equal(pool.add(bad).kind, "refused");
    assert.equal(pool.size, 0);
  });

  it("refuses a transaction that another key than its sender's has signed", () => {
    const { pool } = pooled();
    const answer = pool.add(set(1, { sender: Buffer.alloc(64, 1) }));
    assert.deepEqual(answer, { kind: "refused", cause: "forged", reason: "its signature is not its sender's" });
  });

  it("lets go of what a block holds and of what became too old", () => {
    const { ledger, pool } = pooled();
    for (const transaction of [set(1), set(2, { blockLimit: 1 }), set(3)]) pool.add(transaction);
    const [block] = grown(ledger, [set(1)]);
    pool.settle(block?.transactions ?? []);
    assert.deepEqual(
      pool.next(9).map(({ hash }) => hash),
      [set(3).hash],
    );
    assert.equal(pool.size, 1);
  });

  it("does not take a waiting transaction's name for another signature's proof", () => {
    const { pool } = pooled();
    pool.add(set(1));
    const signature = Buffer.alloc(128, 1);
    const { encoded, hash } = set(1);
    const forged = { ...set(1), signature, encoded: Buffer.concat([encoded.subarray(0, -128), signature]) };
    assert.deepEqual(forged.hash, hash);
    assert.ok(pool.signed(set(1)));
    assert.ok(!pool.signed(forged));
  });
});

describe("a genesis", () => {
  const { sealers } = signedChain("sm", 4).chain;
  const genesis = { suite: "sm", chainId: "chain0", groupId: "group0", timestampMs: 1, sealers } as const;

  it("names the chain by all it says", () => {
    const { genesisHash } = new Chain(genesis);
    assert.deepEqual(new Chain(genesis).genesisHash, genesisHash);
    for (const change of [{ chainId: "x" }, { groupId: "x" }, { timestampMs: 2 }, { sealers: sealers.toReversed() }])
      assert.notDeepEqual(new Chain({ ...genesis, ...change }).genesisHash, genesisHash);
  });

  it("sets the quorum so that two share an honest sealer", () => {
    for (let count = 1; count <= 10; count++) {
      const { quorum, faulty } = keyedHashChain(count).chain;
      assert.ok(2 * quorum - count >= faulty + 1, `${count} sealers`);
      assert.ok(quorum <= count - faulty, `${count} sealers`);
    }
    assert.deepEqual(
      [4, 7, 10].map((count) => keyedHashChain(count).chain.quorum),
      [3, 5, 7],
    );
  });

  it("is refused without sealers, with too many, a repeated or a wrong one, or a bad name or time", () => {
    const [first] = sealers;
    assert.ok(first !== undefined);
    for (const change of [
      { sealers: [] },
      { sealers: [first, first] },
      { sealers: [first.toUpperCase(), first] },
      { sealers: [first.slice(2)] },
      { sealers: ["11".repeat(64)] },
      { sealers: Array.from({ length: 65 }, () => first) },
      { chainId: "" },
      { chainId: "two words" },
      { groupId: "x".repeat(65) },
      { timestampMs: -1 },
      { timestampMs: 1.5 },
      { suite: "standard" as const },
    ])
      assert.throws(() => new Chain({ ...genesis, ...change }), { code: "GENESIS_INVALID" });
  });
});

it("a receipt reads back as it was, and not with an unknown status or a byte more or less", () => {
  const receipt = { transactionHash: Buffer.alloc(32, 1), height: 7, index: 3, status: 16, output: Buffer.from("x") };
  const encoded = encodeReceipt(receipt);
  assert.deepEqual(decodeReceipt(encoded), receipt);
  for (const bad of [
    encodeReceipt({ ...receipt, status: 1 }),
    encoded.subarray(1),
    Buffer.concat([encoded, Buffer.of(0)]),
  ])
    assert.throws(() => decodeReceipt(bad), { code: "ENCODING_INVALID" });
});

function entriesOf(blocks: readonly FinalBlock[]): StateWrite[] {
  const entries = new Map<string, StateWrite>();
  for (const { transactions } of blocks)
    for (const { operation } of transactions)
      if (operation.kind === "set") entries.set(operation.key.toString(), operation);
  return [...entries.values()].map(({ key, value }) => ({ key, value }));
}

function refusedBlock(error: unknown): boolean {
  return (error as { code?: string }).code === "BLOCK_REFUSED";
}
