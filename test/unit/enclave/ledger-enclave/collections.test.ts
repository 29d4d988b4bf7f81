import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { definitionKeys, lifecycleName } from "../../../../src/enclave/ledger/definitions.ts";
import { readMessage } from "../../../../src/enclave/ledger/fabric-message.ts";
import { partOf } from "../../../../src/enclave/ledger/read-write-sets.ts";
import { policyOf } from "../../../../src/enclave/ledger/signature-policy.ts";
import {
  ChaincodeValidationInfoSchema,
  StateDataSchema,
} from "../../../../src/enclave/messages/generated/fabric/lifecycle_pb.ts";
import {
  ApplicationPolicySchema,
  CollectionConfigPackageSchema,
} from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import {
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

const stateData = (bytes: Uint8Array) =>
  toBinary(StateDataSchema, create(StateDataSchema, { Type: { case: "Bytes", value: bytes } }));
const hashedWrites = [{ keyHash: Buffer.from("k"), valueHash: Buffer.from("v") }];
const entries = [{ name: "VALIDATION_PARAMETER", value: Buffer.from("a policy") }];
const endorsementPolicy = readMessage(ApplicationPolicySchema, policyOf(1, ["Org2MSP"]));
const described: MessageInitShape<typeof CollectionConfigPackageSchema> = {
  config: [
    {},
    { staticCollectionConfig: { name: "ours" } },
    { staticCollectionConfig: { name: "theirs", endorsementPolicy } },
    { staticCollectionConfig: { name: "theirs" } },
  ],
};
const encoded = toBinary(CollectionConfigPackageSchema, create(CollectionConfigPackageSchema, described));

/** A follower of a channel where the other chaincode has collections: one with an endorsement policy of its own. */
function followedWith(...more: readonly { readonly key: string; readonly value: Uint8Array }[]): Followed {
  const followed = new Followed();
  const collections = { key: definitionKeys(kv).collections, value: stateData(encoded) };
  const all = [...records(kv, 1, ["Org1MSP"]), collections, ...more];
  const writes = [...new Map(all.map((one) => [one.key, one])).values()];
  followed.take([
    [transaction({ chaincode: lifecycleName, sets: [{ namespace: lifecycleName, set: { writes } }] }), valid],
  ]);
  return followed;
}
const writing = (name: string, set: object = { hashedWrites }, publicSet: object = {}) => ({
  sets: [{ namespace: kv, set: publicSet, collections: [{ name, set }] }],
});
const knowsAll = (followed: Followed, ...names: readonly string[]) =>
  followed.knows(kv) && names.every((name) => followed.knows(partOf(kv, name)));
const publicWrites = { writes: [{ key: "a", value }] };

suite("a collection of private data", () => {
  test("that the definition lacks is written by nobody, and makes nothing unknown", () => {
    for (const name of ["other", "", "Ours", "_implicit_org_"])
      for (const endorsers of [[], [client1], [peer1], [peer1, peer2, peer3]]) {
        const followed = followedWith();
        followed.take([[foreign({}, { ...writing(name, { hashedWrites }, publicWrites), endorsers }), 10]]);
        assert.equal(knowsAll(followed, name), true);
        assert.equal(followed.follower.hash(kv, "a"), undefined);
      }
    const undescribed = new Followed();
    undescribed.take([[foreign({}, writing("ours")), 10]]);
    assert.equal(knowsAll(undescribed, "ours"), true);
    const ofLifecycle = { namespace: lifecycleName, collections: [{ name: "ours", set: { hashedWrites } }] };
    undescribed.take([[transaction({ chaincode: lifecycleName, sets: [ofLifecycle] }), 10]]);
  });

  test("without a policy of its own is written by the chaincode's, and all else stays known", () => {
    const followed = followedWith();
    const input = writing("ours", { hashedWrites }, publicWrites);
    followed.take([
      [foreign({}, { ...input, endorsers: [] }), 10],
      [foreign({}, { ...input, endorsers: [peer2, peer3] }), 10],
      [foreign({}, input), valid],
      [foreign({}, writing("ours")), valid],
    ]);
    assert.equal(knowsAll(followed, "ours"), true);
    assert.notEqual(followed.follower.hash(kv, "a"), undefined);
    assert.equal(followed.follower.hash(partOf(kv, "ours"), "k"), undefined);
  });

  test("with a policy of its own is written by that, its public names by the chaincode's", () => {
    const followed = followedWith();
    const both = writing("theirs", { hashedWrites }, publicWrites);
    followed.take([
      [foreign({}, { ...writing("theirs"), endorsers: [peer1] }), 10],
      [foreign({}, { ...writing("theirs"), endorsers: [peer2] }), valid],
      [foreign({}, { ...both, endorsers: [peer2] }), 10],
      [foreign({}, { ...both, endorsers: [peer1] }), 10],
      [foreign({}, { ...both, endorsers: [peer1, peer2] }), valid],
    ]);
    assert.equal(knowsAll(followed, "theirs"), true);
  });

  test("whose keys have policies of their own is not told of any more, and nothing else", () => {
    const followed = followedWith();
    followed.take([
      [foreign({}, writing("ours", { metadataWrites: [{ keyHash: Buffer.from("k"), entries }] })), valid],
    ]);
    assert.equal(knowsAll(followed), true);
    assert.equal(knowsAll(followed, "ours"), false);
    for (const code of [valid, 10]) followed.take([[foreign({}, { ...writing("ours"), endorsers: [peer2] }), code]]);
    assert.equal(knowsAll(followed), true);
    followed.take([[foreign({}, { ...writing("ours"), endorsers: [] }), 10]]);
  });

  test("may have got such policies in a block though the transaction comes to nothing for another's policy", () => {
    const { sets } = writing("ours", { metadataWrites: [{ keyHash: Buffer.from("k"), entries }] });
    const registry = { namespace: channel.erccName, set: { writes: [{ key, value }] } };
    const followed = followedWith();
    followed.take([[foreign({}, { sets: [...sets, registry], endorsers: [peer1] }), 10]]);
    assert.equal(knowsAll(followed, "ours"), false);
    assert.equal(followed.value, undefined);
  });

  test("leaves unknown what is written with it where the definition's collections cannot be read", () => {
    const unreadable = { key: definitionKeys(kv).collections, value: stateData(Buffer.of(0x0a, 9)) };
    for (const code of [valid, 10]) {
      const followed = followedWith(unreadable);
      followed.take([[foreign({}, writing("ours", { hashedWrites }, publicWrites)), code]]);
      assert.equal(knowsAll(followed), false);
    }
  });
});

suite("what nobody has endorsed", () => {
  const plugin = (validationPlugin: string) => {
    const info = create(ChaincodeValidationInfoSchema, {
      validationPlugin,
      validationParameter: policyOf(1, ["Org1MSP"]),
    });
    return { key: definitionKeys(kv).validationInfo, value: stateData(toBinary(ChaincodeValidationInfoSchema, info)) };
  };

  for (const [what, endorsers] of [
    ["no signature", []],
    ["a stranger's", [channel.stranger]],
    ["one by another's key", [{ ...peer1, key: peer2.key }]],
  ] as const)
    test(`is refused and not in doubt, and uses up no id in its block: ${what}`, () => {
      const nonce = Buffer.alloc(24, 9);
      const withPolicies = followedWith();
      withPolicies.take([[foreign({ metadataWrites: [{ key: "a", entries }] }), valid]]);
      for (const [followed, input] of [
        [followedWith(), writing("other")],
        [followedWith(), writing("ours")],
        [followedWith(plugin("ours")), {}],
        [withPolicies, {}],
      ] as const) {
        followed.take([
          [foreign(publicWrites, { nonce, ...input, endorsers }), 10],
          [transaction({ nonce }), valid],
        ]);
        assert.equal(followed.value, value.toString());
      }
    });

  test("is in doubt as soon as anybody has, where another plugin judges it", () => {
    const followed = followedWith(plugin("ours"));
    followed.take([[foreign(publicWrites, { endorsers: [client1] }), 10]]);
    assert.equal(knowsAll(followed), false);
  });
});
