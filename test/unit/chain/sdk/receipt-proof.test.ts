import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Receipt } from "../../../../src/chain/ledger/types.ts";
import { chainMethods } from "../../../../src/chain/rpc/chain-methods.ts";
import type { Json } from "../../../../src/chain/rpc/json-rpc.ts";
import { checkReceiptProof } from "../../../../src/chain/sdk/receipt-proof.ts";
import { TestChain } from "../node/stored-chain.ts";

const made = await TestChain.create();
const { chain } = made;
const transactions = await Promise.all(
  [1, 2, 3].map((number) =>
    made.transaction({ kind: "set", key: Buffer.from(`k${number}`), value: Buffer.from("v") }, number),
  ),
);
const wanted = transactions[1];
assert(wanted);
const { final, receipts } = await made.next(transactions);

async function answer(changes: { readonly signatures?: typeof final.proof.signatures } = {}): Promise<Json> {
  const block = { ...final, proof: { ...final.proof, ...changes } };
  const methods = chainMethods({
    chain,
    nodeId: chain.sealers[0] ?? "",
    height: 1,
    connected: [],
    block: async () => block,
    receipts: async () => receipts,
    storedReceipt: async (hash): Promise<Receipt | undefined> =>
      receipts.find(({ transactionHash }) => transactionHash.equals(hash)),
    get: () => undefined,
    transact: async () => ({ refused: "not here" }),
  });
  const call = methods.get("getTransactionReceipt");
  assert(call && wanted);
  return call(["group0", "", `0x${wanted.hash.toString("hex")}`, true]);
}

function changed(json: Json, path: readonly string[], change: (value: Json) => Json): Json {
  const [name, ...rest] = path;
  if (name === undefined) return change(json);
  const copy = structuredClone(json) as Record<string, Json>;
  copy[name] = changed(copy[name] ?? null, rest, change);
  return copy;
}

const flip = (value: Json) => {
  const text = String(value);
  return text.slice(0, -1) + (text.endsWith("0") ? "1" : "0");
};

describe("a receipt's proof", () => {
  it("holds for what a quorum has signed", async () => {
    const receipt = checkReceiptProof(chain, wanted.hash, await answer());
    assert.equal(receipt.height, 1);
    assert.equal(receipt.index, 1);
    assert.deepEqual(receipt.blockHash, final.hash);
  });

  it("does not hold with fewer signatures than a quorum", async () => {
    const signatures = final.proof.signatures.slice(1);
    const given = await answer({ signatures });
    assert.throws(() => checkReceiptProof(chain, wanted.hash, given), { code: "PROOF_REFUSED" });
  });

  it("does not hold with one signature given three times", async () => {
    const [one] = final.proof.signatures;
    assert(one);
    const given = await answer({ signatures: [one, one, one] });
    assert.throws(() => checkReceiptProof(chain, wanted.hash, given), { code: "PROOF_REFUSED" });
  });

  it("does not hold for another transaction", async () => {
    const given = await answer();
    assert.throws(() => checkReceiptProof(chain, Buffer.alloc(32), given), { code: "PROOF_REFUSED" });
  });

  it("does not hold on another chain", async () => {
    const other = await TestChain.create();
    const given = await answer();
    assert.throws(() => checkReceiptProof(other.chain, wanted.hash, given), { code: "PROOF_REFUSED" });
  });

  for (const [what, path, change] of [
    ["another status", ["status"], () => 16],
    ["another index", ["transactionIndex"], () => 2],
    ["another height", ["blockNumber"], () => 2],
    ["an output that was not there", ["output"], () => "0x01"],
    ["another header", ["receiptProof", "header"], flip],
    ["another view", ["receiptProof", "view"], () => 1],
    ["another path", ["receiptProof", "path", "0"], flip],
    ["another signature", ["receiptProof", "signatureList", "0", "signature"], flip],
    ["another signer", ["receiptProof", "signatureList", "0", "sealerIndex"], () => 3],
    ["an unknown signer", ["receiptProof", "signatureList", "0", "sealerIndex"], () => 60],
  ] as const)
    it(`does not hold with ${what}`, async () => {
      const given = changed(await answer(), path, change);
      assert.throws(() => checkReceiptProof(chain, wanted.hash, given), { code: "PROOF_REFUSED" });
    });

  for (const [what, given] of [
    ["nothing", null],
    ["a text", "receipt"],
    ["a receipt without a proof", { transactionHash: "0x00", blockNumber: 1 }],
  ] as const)
    it(`is not read of ${what}`, () => {
      assert.throws(() => checkReceiptProof(chain, wanted.hash, given), { code: "ANSWER_INVALID" });
    });

  it("does not hold when its path is cut or made longer, whatever number of receipts is claimed", async () => {
    for (const path of [[], ["0x".padEnd(66, "a")]]) {
      const given = changed(await answer(), ["receiptProof", "path"], (there) =>
        path.length === 0 ? path : [...(there as Json[]), ...path],
      );
      assert.throws(() => checkReceiptProof(chain, wanted.hash, given), { code: "PROOF_REFUSED" });
      const claimed = changed(given, ["receiptProof", "receiptCount"], () => 1);
      assert.throws(() => checkReceiptProof(chain, wanted.hash, claimed), { code: "ANSWER_INVALID" });
    }
  });

  it("is not read with a member too many, or a header that is cut", async () => {
    const given = await answer();
    const more = changed(given, ["extra"], () => 1);
    const cut = changed(given, ["receiptProof", "header"], (header) => String(header).slice(0, -2));
    for (const bad of [more, cut])
      assert.throws(() => checkReceiptProof(chain, wanted.hash, bad), { code: "ANSWER_INVALID" });
  });
});
