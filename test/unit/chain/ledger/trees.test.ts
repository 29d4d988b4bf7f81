import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MerkleTree, merkleRoot, merkleRootOfPath } from "../../../../src/chain/ledger/merkle.ts";
import { emptyStateRoot, StateTree } from "../../../../src/chain/ledger/state-tree.ts";
import { chainSuites } from "../../../../src/chain/ledger/suite.ts";
import { seed } from "../../../run-settings.ts";
import { SeededRandom } from "../../../simulation/random.ts";

const suite = chainSuites.sm;
const items = (count: number): Buffer[] => Array.from({ length: count }, (_, index) => Buffer.from(`item ${index}`));

describe("a Merkle tree of receipts", () => {
  it("gives every item a path to the root, for every count", () => {
    for (let count = 1; count <= 20; count++) {
      const all = items(count);
      const tree = new MerkleTree(suite, all);
      for (const [index, item] of all.entries())
        assert.deepEqual(merkleRootOfPath(suite, item, index, count, tree.path(index)), tree.root);
    }
  });

  it("does not lead to the root from another item, index or count, or by another path", () => {
    const all = items(7);
    const root = merkleRoot(suite, all);
    const path = new MerkleTree(suite, all).path(2);
    const reached = (item: string, index: number, count: number, by: Buffer[]): boolean =>
      merkleRootOfPath(suite, Buffer.from(item), index, count, by)?.equals(root) === true;
    assert.ok(reached("item 2", 2, 7, path));
    assert.ok(!reached("item 3", 2, 7, path));
    assert.ok(!reached("item 2", 3, 7, path));
    assert.ok(!reached("item 2", 2, 2, path));
    assert.ok(!reached("item 2", 2, 7, path.slice(1)));
    assert.ok(!reached("item 2", 2, 7, [...path].reverse()));
    assert.ok(!reached("item 2", 9, 7, path));
  });

  it("is RFC 6962's tree, split at the largest power of two below the count", () => {
    const rootOf = (all: readonly Buffer[]): Buffer => {
      const [only] = all;
      if (all.length === 1 && only !== undefined) return suite.hash(Buffer.of(0), only);
      let split = 1;
      while (split * 2 < all.length) split *= 2;
      return suite.hash(Buffer.of(1), rootOf(all.slice(0, split)), rootOf(all.slice(split)));
    };
    for (let count = 1; count <= 40; count++) assert.deepEqual(merkleRoot(suite, items(count)), rootOf(items(count)));
    assert.deepEqual(merkleRoot(suite, []), suite.hash(Buffer.alloc(0)));
  });

  it("has another root when items change places, and an inner hash is no item", () => {
    const [first, second] = items(2);
    assert.ok(first !== undefined && second !== undefined);
    assert.notDeepEqual(merkleRoot(suite, [first, second]), merkleRoot(suite, [second, first]));
    const inner = Buffer.concat([suite.hash(Buffer.of(0), first), suite.hash(Buffer.of(0), second)]);
    assert.notDeepEqual(merkleRoot(suite, [inner]), merkleRoot(suite, [first, second]));
  });

  it("has no path for an item that is not there", () => {
    const tree = new MerkleTree(suite, items(3));
    for (const index of [3, -1, 0.5, Number.NaN]) assert.throws(() => tree.path(index), RangeError);
    assert.throws(() => new MerkleTree(suite, []).path(0), RangeError);
  });
});

describe("the state tree", () => {
  const random = new SeededRandom(seed);
  const entries = Array.from({ length: 200 }, (_, index) => ({
    key: Buffer.from(`key ${index}`),
    value: random.bytes(8),
  }));
  const filled = entries.reduce((tree, { key, value }) => tree.set(key, value), StateTree.empty(suite));

  it("finds what was set and nothing else", () => {
    for (const { key, value } of entries) assert.deepEqual(filled.get(key), value);
    assert.equal(filled.get(Buffer.from("key 200")), undefined);
    assert.equal(StateTree.empty(suite).get(Buffer.from("key 1")), undefined);
  });

  it("has the same root whatever the order, and another one for any other value", () => {
    const reversed = entries
      .toReversed()
      .reduce((tree, { key, value }) => tree.set(key, value), StateTree.empty(suite));
    assert.deepEqual(reversed.root(), filled.root());
    for (const { key } of entries.slice(0, 20))
      assert.notDeepEqual(filled.set(key, Buffer.from("other")).root(), filled.root());
  });

  it("stays as it is when another is made of it", () => {
    const before = filled.root();
    filled.set(Buffer.from("key 1"), Buffer.from("changed")).root();
    assert.deepEqual(filled.root(), before);
    assert.deepEqual(filled.get(Buffer.from("key 1")), entries[1]?.value);
  });

  it("comes back to its root when a value comes back, and is empty only when empty", () => {
    const value = entries[3]?.value ?? Buffer.alloc(0);
    const back = filled.set(Buffer.from("key 3"), Buffer.from("x")).set(Buffer.from("key 3"), value);
    assert.deepEqual(back.root(), filled.root());
    assert.notDeepEqual(StateTree.empty(suite).set(Buffer.of(1), Buffer.alloc(0)).root(), emptyStateRoot(suite));
  });
});
