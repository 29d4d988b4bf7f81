import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { lifecycleName } from "../../../../src/enclave/ledger/definitions.ts";
import {
  assertJudged,
  channel,
  client1,
  Followed,
  foreign,
  key,
  kv,
  peer1,
  peer2,
  peer3,
  records,
  transaction,
  valid,
  value,
} from "./followed-channel.ts";

suite("transactions over several chaincodes", () => {
  const both = [
    { namespace: channel.erccName, set: { writes: [{ key, value }] } },
    { namespace: kv, set: { writes: [{ key: "a", value }] } },
  ];

  test("need what each written one's policy wants, and that of the one that was called", () => {
    for (const chaincode of [kv, channel.erccName]) {
      assertJudged(transaction({ chaincode, sets: both }), valid, chaincode);
      assertJudged(transaction({ chaincode, sets: both, endorsers: [peer2, peer3] }), 10, `${chaincode}: not Org1MSP`);
      assertJudged(transaction({ chaincode, sets: both, endorsers: [peer1] }), 10, `${chaincode}: Org1MSP alone`);
    }
    assertJudged(
      transaction({ chaincode: kv, sets: both.slice(0, 1), endorsers: [peer2, peer3] }),
      10,
      "called, not written",
    );
  });

  test("are refused where one of them is not defined, or named twice", () => {
    const absent = { namespace: "absent", set: { writes: [{ key: "a", value }] } };
    assertJudged(transaction({ sets: [...both, absent] }), 25, "not defined");
    assertJudged(transaction({ chaincode: "absent", sets: [absent] }), 25, "called");
    assertJudged(transaction({ sets: [...both, ...both] }), 23, "twice");
  });

  test("may read of others without their endorsement, and are refused where that has changed", () => {
    const reads = { namespace: "absent", set: { reads: [{ key: "a" }] } };
    const stale = { namespace: kv, set: { reads: [{ key: "a", version: { blockNum: 1n, txNum: 0n } }] } };
    assertJudged(transaction({ sets: [...both.slice(0, 1), reads] }), valid, "reads");
    assertJudged(transaction({ sets: [...both.slice(0, 1), stale] }), 11, "stale");
  });

  test("do not let an organisation define chaincode by another's policy", () => {
    const define = { namespace: lifecycleName, set: { writes: records(channel.erccName, 1, ["Org1MSP"]) } };
    const followed = new Followed();
    followed.take([[transaction({ chaincode: kv, sets: [define], endorsers: [peer1] }), 10]]);
    followed.take([[transaction({ endorsers: [peer1] }), 10]]);
    assert.equal(followed.value, undefined);
  });
});

suite("what is not followed of other chaincode", () => {
  const entries = [{ name: "VALIDATION_PARAMETER", value: Buffer.from("a policy") }];
  const collection = (name: string, set: object) => ({
    chaincode: kv,
    endorsers: [peer1],
    sets: [{ namespace: kv, collections: [{ name, set }] }],
  });
  const hashedWrites = [{ keyHash: Buffer.from("k"), valueHash: Buffer.from("v") }];

  for (const [what, first, later] of [
    [
      "endorsement policies of single keys",
      foreign({ metadataWrites: [{ key: "a", entries }] }),
      foreign({ writes: [{ key: "a", value }] }, { endorsers: [peer2] }),
    ],
    [
      "reads from collections that are no implicit ones",
      foreign(
        {},
        {
          sets: [
            {
              namespace: kv,
              set: { writes: [{ key: "a", value }] },
              collections: [{ name: "ours", set: { hashedReads: [{ keyHash: Buffer.from("k") }] } }],
            },
          ],
        },
      ),
      foreign({ writes: [{ key: "b", value }] }),
    ],
    [
      "ranges for which hashes of another form stand",
      foreign({
        writes: [{ key: "a", value }],
        rangeQueriesInfo: [
          {
            startKey: "a",
            endKey: "b",
            itrExhausted: true,
            readsInfo: {
              case: "readsMerkleHashes",
              value: {
                $typeName: "kvrwset.QueryReadsMerkleSummary",
                maxDegree: 1,
                maxLevel: 1,
                maxLevelHashes: [Buffer.alloc(32)],
              },
            },
          },
        ],
      }),
      foreign({ writes: [{ key: "b", value }] }),
    ],
    [
      "a key that is written twice",
      foreign({
        writes: [
          { key: "a", value },
          { key: "a", isDelete: true },
        ],
      }),
      foreign({ writes: [{ key: "b", value }] }),
    ],
  ] as const)
    test(`stops nothing: ${what}; of that chaincode alone nothing is known any more`, () => {
      for (const code of [valid, 10]) {
        const followed = new Followed();
        followed.take([[transaction(), valid]]);
        followed.take([[first, valid]]);
        assert.equal(followed.knows(kv), false);
        followed.take([[later, code]]);
        followed.take([[foreign({ writes: [{ key: "c", value }] }), code]]);
        assert.equal(followed.value, value.toString());
        assert.notEqual(followed.follower.hash(channel.erccName, key), undefined);
        followed.take([
          [transaction({ sets: [{ namespace: channel.erccName, set: { writes: [{ key, isDelete: true }] } }] }), valid],
        ]);
        assert.equal(followed.value, undefined);
      }
    });

  test("stays known whatever nobody has endorsed", () => {
    for (const endorsers of [[], [peer2], [client1], [channel.stranger]]) {
      const followed = new Followed();
      followed.take([
        [foreign({ metadataWrites: [{ key: "a", entries }] }, { endorsers }), 10],
        [
          foreign(
            {
              writes: [
                { key: "a", value },
                { key: "a", value },
              ],
            },
            { endorsers },
          ),
          10,
        ],
        [
          transaction({
            chaincode: "absent",
            endorsers,
            sets: [{ namespace: "absent", set: { writes: [{ key: "a", value }] } }],
          }),
          25,
        ],
      ]);
      assert.equal(followed.knows(kv), true);
      assert.equal(followed.knows("absent"), true);
      followed.take([[foreign({ writes: [{ key: "a", value }] }), valid]]);
      assert.notEqual(followed.follower.hash(kv, "a"), undefined);
    }
  });

  test("stops the follower where the registry comes to rest on it", () => {
    const mixed = transaction({
      sets: [
        { namespace: channel.erccName, set: { writes: [{ key, value }] } },
        { namespace: kv, set: { reads: [{ key: "a" }] } },
      ],
    });
    const followed = new Followed();
    followed.take([[foreign({ metadataWrites: [{ key: "a", entries }] }), valid]]);
    assert.throws(() => followed.take([[mixed, valid]]), { code: "CONFLICT" });
    assert.throws(() => followed.value, { code: "LEDGER_UNAVAILABLE" });
  });

  test("is what a key's new policy stands before, even if its transaction comes to nothing for another chaincode's policy", () => {
    const sets = [
      { namespace: kv, set: { metadataWrites: [{ key: "a", entries }] } },
      { namespace: channel.erccName, set: { writes: [{ key, value }] } },
    ];
    const followed = new Followed();
    followed.take([[transaction({ chaincode: kv, sets, endorsers: [peer1] }), 10]]);
    assert.equal(followed.knows(kv), false);
    assert.equal(followed.value, undefined);
    followed.take([[transaction(), valid]]);
    assert.equal(followed.value, value.toString());
  });

  test("is whether a later one of the same id in the block counts, which stops the follower where that writes the registry", () => {
    const nonce = Buffer.alloc(24, 7);
    const late = transaction({ nonce });
    const undecided = foreign({ writes: [{ key: "a", value }] }, { nonce });
    const unknown = new Followed();
    unknown.take([[foreign({ metadataWrites: [{ key: "a", entries }] }), valid]]);
    for (const code of [valid, 9])
      assert.throws(
        () =>
          unknown.take([
            [undecided, valid],
            [late, code],
          ]),
        { code: code === valid ? "CONFLICT" : "LEDGER_UNAVAILABLE" },
      );
    const told = new Followed();
    assert.throws(
      () =>
        told.take([
          [undecided, 11],
          [late, valid],
        ]),
      { code: "CONFLICT" },
    );
  });

  test("is what a peer tells otherwise; of the registry that stops the follower", () => {
    const followed = new Followed();
    followed.take([[foreign({ writes: [{ key: "a", value }] }), 11]]);
    assert.equal(followed.knows(kv), false);
    followed.take([[transaction(), valid]]);
    assert.equal(followed.value, value.toString());
    const never = foreign({ writes: [{ key: "a", value }] }, { endorsers: [peer2] });
    const told = new Followed();
    told.take([[never, valid]]);
    assert.equal(told.knows(kv), false);
    assert.throws(() => told.take([[transaction({ endorsers: [peer1] }), valid]]), { code: "CONFLICT" });
    assert.throws(() => new Followed().take([[channelNoise(), valid]]), { code: "CONFLICT" });
  });

  test("is not asked for where a transaction writes nothing", () => {
    const followed = new Followed();
    followed.take([[transaction({ chaincode: "qscc", sets: [] }), valid]]);
    followed.take([[foreign({ reads: [{ key: "a" }] }, { endorsers: [peer2] }), valid]]);
    assert.equal(followed.knows(kv), true);
    assert.equal(followed.knows("qscc"), true);
  });

  test("are no implicit collections: theirs is the organisation's own endorsement", () => {
    const name = "_implicit_org_Org2MSP";
    const followed = new Followed();
    followed.take([
      [transaction({ ...collection(name, { hashedWrites }), endorsers: [peer1] }), 10],
      [transaction({ ...collection(name, { hashedWrites }), endorsers: [peer2] }), valid],
      [transaction({ ...collection("_implicit_org_Org9MSP", { hashedWrites }) }), 10],
    ]);
    assert.equal(followed.knows(kv), true);
  });
});

suite("approvals of definitions, which Fabric keeps in implicit collections", () => {
  const approve = (mspId: string, endorser: typeof peer1, hashedReads: object[] = []) =>
    transaction({
      chaincode: lifecycleName,
      endorsers: [endorser],
      sets: [
        {
          namespace: lifecycleName,
          collections: [
            {
              name: `_implicit_org_${mspId}`,
              set: {
                hashedReads,
                hashedWrites: [{ keyHash: Buffer.from("approval"), valueHash: Buffer.from("hash") }],
              },
            },
          ],
        },
      ],
    });
  const define = (block: bigint) =>
    transaction({
      chaincode: lifecycleName,
      sets: [
        {
          namespace: lifecycleName,
          set: { writes: records("next", 1) },
          collections: ["Org1MSP", "Org2MSP"].map((mspId, index) => ({
            name: `_implicit_org_${mspId}`,
            set: {
              hashedReads: [{ keyHash: Buffer.from("approval"), version: { blockNum: block, txNum: BigInt(index) } }],
            },
          })),
        },
      ],
    });

  test("are each endorsed by the organisation's own peer, and a definition rests on them", async () => {
    const followed = new Followed();
    followed.take([
      [approve("Org1MSP", peer1), valid],
      [approve("Org2MSP", peer2), valid],
      [approve("Org3MSP", peer1), 10],
    ]);
    followed.take([[define(1n), 11]]);
    assert.equal(await followed.follower.registry().definition("next"), undefined);
    followed.take([[define(2n), valid]]);
    assert.equal((await followed.follower.registry().definition("next"))?.version, "1");
  });

  test("that come in between void what rests on those before", async () => {
    const followed = new Followed();
    followed.take([
      [approve("Org1MSP", peer1), valid],
      [approve("Org2MSP", peer2), valid],
    ]);
    followed.take([
      [approve("Org2MSP", peer2), valid],
      [define(2n), 11],
    ]);
    followed.take([[define(2n), 11]]);
    assert.equal(await followed.follower.registry().definition("next"), undefined);
    followed.take([[approve("Org1MSP", peer1, [{ keyHash: Buffer.from("approval") }]), 11]]);
  });
});

/** An envelope whose payload is none: nobody can tell what it would write. */
function channelNoise(): Buffer {
  return transaction({ alter: { payload: () => Buffer.from("noise") } });
}
