import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { suite, test } from "node:test";
import { lifecycleName } from "../../../../src/enclave/ledger/definitions.ts";
import { channel, Followed, key, peer1, peer2, peer3, records, transaction, valid, value } from "./followed-channel.ts";

const name = "_implicit_org_Org1MSP";
const keyHash = createHash("sha256").update("namespaces/metadata/next#1").digest();
const valueHash = Buffer.alloc(32, 7);
const hashOfNothing = createHash("sha256").digest();

/** What an organisation writes in its collection of approvals; several entries of one name are Fabric's to take. */
const approve = (...entries: readonly object[][]) =>
  transaction({
    chaincode: lifecycleName,
    endorsers: [peer1],
    sets: [
      {
        namespace: lifecycleName,
        collections: entries.map((hashedWrites) => ({ name, set: { hashedWrites } })),
      },
    ],
  });
/** A definition that others endorse, and that rests on the approval being as it was read. */
const define = (version?: { readonly blockNum: bigint; readonly txNum: bigint }) =>
  transaction({
    chaincode: lifecycleName,
    endorsers: [peer2, peer3],
    sets: [
      {
        namespace: lifecycleName,
        set: { writes: records("next", 1) },
        collections: [{ name, set: { hashedReads: [{ keyHash, ...(version && { version }) }] } }],
      },
    ],
  });
const isDefined = async ({ follower }: Followed) => (await follower.registry().definition("next")) !== undefined;
const write = (set: object) => transaction({ sets: [{ namespace: channel.erccName, set }] });

suite("an empty value, to Fabric's peers", () => {
  test("deletes the key", () => {
    const followed = new Followed();
    followed.take([[transaction(), valid]]);
    followed.take([[write({ writes: [{ key }] }), valid]]);
    assert.equal(followed.value, undefined);
    assert.deepEqual([...followed.follower.range("")], []);
    assert.equal(followed.follower.hash(channel.erccName, key), undefined);
  });

  test("leaves no version: who has read that there is nothing is right, and who has read what was written is not", () => {
    const writes = [{ key, value }];
    const followed = new Followed();
    followed.take([[write({ writes: [{ key }] }), valid]]);
    followed.take([[write({ reads: [{ key, version: { blockNum: 2n, txNum: 0n } }], writes }), 11]]);
    followed.take([[write({ reads: [{ key }], writes }), valid]]);
    assert.equal(followed.value, value.toString());
  });

  test("leaves nothing in a range", () => {
    const followed = new Followed();
    followed.take([[write({ writes: [{ key: "a" }] }), valid]]);
    const rangeQueriesInfo = [{ startKey: "a", endKey: "b", itrExhausted: true }];
    followed.take([[write({ rangeQueriesInfo, writes: [{ key, value }] }), valid]]);
    assert.equal(followed.value, value.toString());
  });

  test("is a change in its block: who has read before it comes too late", () => {
    const followed = new Followed();
    followed.take([
      [write({ writes: [{ key }] }), valid],
      [write({ reads: [{ key }], writes: [{ key, value }] }), 11],
    ]);
    assert.equal(followed.value, undefined);
  });

  for (const [what, deletion] of [
    ["no hash", {}],
    ["the hash of nothing", { valueHash: hashOfNothing }],
    ["a deletion that has a hash", { isDelete: true, valueHash }],
  ] as const)
    test(`deletes private data as well: ${what}`, async () => {
      const followed = new Followed();
      followed.take([[approve([{ keyHash, valueHash }]), valid]]);
      followed.take([[approve([{ keyHash, ...deletion }]), valid]]);
      followed.take([[define({ blockNum: 3n, txNum: 0n }), 11]]);
      assert.equal(await isDefined(followed), false);
      followed.take([[define(), valid]]);
      assert.equal(await isDefined(followed), true);
    });

  test("is nothing else of private data: a hash of any value is one", async () => {
    for (const hash of [valueHash, Buffer.of(0), hashOfNothing.subarray(1)]) {
      const followed = new Followed();
      followed.take([[approve([{ keyHash, valueHash: hash }]), valid]]);
      followed.take([[define(), 11]]);
      followed.take([[define({ blockNum: 2n, txNum: 0n }), valid]]);
      assert.equal(await isDefined(followed), true);
    }
  });
});

suite("a collection that is named twice", () => {
  test("is one: a key that both entries write is written twice, and what rests on it is not told", () => {
    const deletion = [{ keyHash, isDelete: true }];
    const writing = [{ keyHash, valueHash }];
    for (const entries of [
      [deletion, writing],
      [writing, deletion],
      [writing, writing],
      [deletion, [], writing],
    ])
      for (const code of [valid, 11]) {
        const followed = new Followed();
        followed.take([[approve(...entries), valid]]);
        assert.throws(() => followed.take([[define(), code]]), { code: "CONFLICT" });
      }
  });

  test("has what each entry writes", async () => {
    const followed = new Followed();
    followed.take([[approve([{ keyHash: Buffer.from("another"), valueHash }], [{ keyHash, valueHash }]), valid]]);
    followed.take([[define(), 11]]);
    followed.take([[define({ blockNum: 2n, txNum: 0n }), valid]]);
    assert.equal(await isDefined(followed), true);
  });
});
