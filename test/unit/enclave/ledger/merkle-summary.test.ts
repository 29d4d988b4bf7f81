import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { isSummary, isSummaryOf } from "../../../../src/enclave/ledger/merkle-summary.ts";
import { QueryReadsMerkleSummarySchema } from "../../../../src/enclave/messages/generated/fabric/rwset_pb.ts";

const require = createRequire(import.meta.url);
const kvrwset = require("@hyperledger/fabric-protos/lib/ledger/rwset/kvrwset/kv_rwset_pb");

const reads = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    key: `key ${String(index).padStart(3, "0")}`,
    version: { blockNumber: BigInt(index), position: BigInt(index % 3) },
  }));
const hash = (...parts: readonly Uint8Array[]) => {
  const digest = createHash("sha256");
  for (const part of parts) digest.update(part);
  return digest.digest();
};

/** Of reads `from` to `to`, by Fabric's own package. */
function leaf(from: number, to: number): Buffer {
  const message = new kvrwset.QueryReads();
  for (const { key, version } of reads(to).slice(from)) {
    const one = new kvrwset.Version();
    one.setBlockNum(Number(version.blockNumber));
    one.setTxNum(Number(version.position));
    const read = new kvrwset.KVRead();
    read.setKey(key);
    read.setVersion(one);
    message.addKvReads(read);
  }
  return hash(message.serializeBinary());
}

const summary = (maxDegree: number, maxLevel: number, maxLevelHashes: readonly Buffer[]) =>
  create(QueryReadsMerkleSummarySchema, { maxDegree, maxLevel, maxLevelHashes: [...maxLevelHashes] });

/** With the levels as Fabric's own tests of them lay them out (query_results_helper_test.go), written out by hand. */
const three = (at: number) => leaf(at, at + 3);
const cases: readonly (readonly [string, number, ReturnType<typeof summary>])[] = [
  ["one hash more than fits on no level", 3, summary(2, 1, [leaf(0, 3)])],
  ["a full group and a begun one", 5, summary(2, 1, [leaf(0, 3), leaf(3, 5)])],
  ["three groups, which make a level", 9, summary(2, 2, [hash(three(0), three(3), three(6))])],
  ["a begun group beside a level", 10, summary(2, 2, [hash(three(0), three(3), three(6)), leaf(9, 10)])],
  ["two groups beside a level", 14, summary(2, 2, [hash(three(0), three(3), three(6)), hash(three(9), leaf(12, 14))])],
  [
    "what is left over making the highest level too long",
    24,
    summary(2, 3, [
      hash(hash(three(0), three(3), three(6)), hash(three(9), three(12), three(15)), hash(three(18), three(21))),
    ]),
  ],
  ["Fabric's own degree", 120, summary(50, 1, [leaf(0, 51), leaf(51, 102), leaf(102, 120)])],
];

describe("hashes that stand for a range of many keys", () => {
  for (const [what, count, expected] of cases)
    it(`are those of the keys as they are: ${what}`, () => {
      assert.equal(isSummaryOf(expected, reads(count)), true);
    });

  for (const [what, count, expected] of cases)
    it(`are not those of any other keys: ${what}`, () => {
      assert.equal(isSummaryOf(expected, reads(count - 1)), false);
      assert.equal(isSummaryOf(expected, reads(count + 1)), false);
      for (const at of [0, count >> 1, count - 1]) {
        const others = reads(count);
        others[at] = { key: others[at]?.key ?? "", version: { blockNumber: 7777n, position: 0n } };
        assert.equal(isSummaryOf(expected, others), false, `read ${at}`);
      }
      const { maxDegree, maxLevel } = expected;
      const [first = Buffer.alloc(0), ...rest] = expected.maxLevelHashes.map((one) => Buffer.from(one));
      assert.equal(isSummaryOf(summary(maxDegree, maxLevel + 1, [first, ...rest]), reads(count)), false);
      assert.equal(isSummaryOf(summary(maxDegree, maxLevel, [first, ...rest, first]), reads(count)), false);
      assert.equal(isSummaryOf(summary(maxDegree, maxLevel, rest), reads(count)), false);
      assert.equal(isSummaryOf(summary(maxDegree, maxLevel, [first.subarray(1), ...rest]), reads(count)), false);
    });

  it("do not stand for as few as would be there themselves", () => {
    assert.equal(isSummaryOf(summary(50, 1, [leaf(0, 50)]), reads(50)), false);
    assert.equal(isSummaryOf(summary(50, 1, []), []), false);
  });

  it("have a degree of two at least", () => {
    assert.deepEqual(
      [0, 1, 2, 50].map((degree) => isSummary(summary(degree, 1, []))),
      [false, false, true, true],
    );
  });
});
