import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { before, suite, test } from "node:test";
import { DerReader, der, derTags, derUnsigned } from "../../../../src/crypto/der.ts";
import { lifecycleName } from "../../../../src/enclave/ledger/definitions.ts";
import { readMessage } from "../../../../src/enclave/ledger/fabric-message.ts";
import { serializeIdentity } from "../../../../src/enclave/ledger/membership.ts";
import { SerializedIdentitySchema } from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import {
  channel,
  client1,
  Followed,
  key,
  kv,
  peer1,
  peer2,
  records,
  transaction,
  valid,
  value,
} from "./followed-channel.ts";
import type { Signer } from "./test-channel.ts";

const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

suite("a certificate whose signature has the other S", () => {
  test("is the same to Fabric's peers, who make its S the lower one: its holder counts once", () => {
    const define = { namespace: lifecycleName, set: { writes: records(kv, 2, ["Org1MSP", "Org1MSP"]) } };
    for (const endorsers of [[peer1], [peer1, flipped(peer1)], [flipped(peer1), peer1]]) {
      const followed = new Followed();
      followed.take([[transaction({ chaincode: lifecycleName, sets: [define] }), valid]]);
      const sets = [{ namespace: kv, set: { writes: [{ key: "a", value }] } }];
      followed.take([[transaction({ chaincode: kv, endorsers, sets }), 10]]);
      assert.equal(followed.follower.hash(kv, "a"), undefined);
    }
  });

  test("is its holder's all the same", () => {
    const followed = new Followed();
    followed.take([[transaction({ endorsers: [flipped(peer1), flipped(peer2)] }), valid]]);
    assert.equal(followed.follower.value(key)?.toString(), value.toString());
  });
});

suite("a certificate of which it is in doubt whether Fabric's peers take it", () => {
  let odd1: Signer;
  let odd2: Signer;
  let oddClient: Signer;
  before(async () => {
    odd1 = await channel.doubtedMember(0, "peer");
    odd2 = await channel.doubtedMember(1, "peer");
    oddClient = await channel.doubtedMember(0, "client");
  });
  const foreign = (input: object) =>
    transaction({ chaincode: kv, sets: [{ namespace: kv, set: { writes: [{ key: "a", value }] } }], ...input });

  test("leaves unknown what rests on it, whatever peers tell", () => {
    for (const code of [valid, 10])
      for (const input of [
        { endorsers: [odd1] },
        { endorsers: [odd1, odd2] },
        { endorsers: [peer1], creator: oddClient },
      ]) {
        const followed = new Followed();
        followed.take([[foreign(input), code]]);
        assert.equal(followed.knows(kv), false);
        followed.take([[transaction(), valid]]);
        assert.equal(followed.value, value.toString());
      }
  });

  test("stops the follower where the registry rests on it", () => {
    for (const input of [{ endorsers: [peer1, odd2] }, { creator: oddClient }])
      for (const code of [valid, 10])
        assert.throws(() => new Followed().take([[transaction(input), code]]), { code: "CONFLICT" });
  });

  test("does neither where the transaction is refused or taken without it as with it", () => {
    for (const [what, input, code] of [
      ["too few with it", { endorsers: [odd1] }, 10],
      ["enough without it", { endorsers: [peer1, peer2, odd1] }, valid],
      ["enough without any", { endorsers: [odd1, peer1, odd2, peer2] }, valid],
      ["its endorsers are too few", { creator: oddClient, endorsers: [peer1] }, 10],
      ["its endorsers are none", { creator: oddClient, endorsers: [] }, 10],
      ["signed by another", { creator: { ...oddClient, key: client1.key } }, 4],
    ] as const) {
      const followed = new Followed();
      followed.take([[transaction(input), code]]);
      assert.equal(followed.value, code === valid ? value.toString() : undefined, what);
      followed.take([[transaction(), valid]]);
    }
  });

  test("among very many such leaves a refusal a refusal, where not even all of them suffice", async () => {
    const odd = await Promise.all(Array.from({ length: 5 }, () => channel.doubtedMember(0, "peer")));
    const followed = new Followed();
    followed.take([[transaction({ endorsers: odd }), 10]]);
    assert.throws(() => followed.take([[transaction({ endorsers: [...odd, peer2] }), 10]]), { code: "CONFLICT" });
  });
});

/** The same identity; S of its certificate's signature is the order less S. */
function flipped({ mspId, serialized, key: ownKey }: Signer): Signer {
  const { raw } = new X509Certificate(readMessage(SerializedIdentitySchema, serialized).idBytes);
  const read = (bytes: Uint8Array) => new DerReader(bytes, () => new Error("not DER"));
  const parts = read(raw).enter(derTags.sequence);
  const [body, algorithm] = [parts.read(derTags.sequence), parts.read(derTags.sequence)];
  const pair = read(parts.read(derTags.bitString).subarray(1)).enter(derTags.sequence);
  const [r, s] = [pair.readUnsigned(32), pair.readUnsigned(32)];
  const other = (order - BigInt(`0x${s.toString("hex")}`)).toString(16).padStart(64, "0");
  const signature = der(derTags.sequence, derUnsigned(r), derUnsigned(Buffer.from(other, "hex")));
  const bytes = der(
    derTags.sequence,
    der(derTags.sequence, body),
    der(derTags.sequence, algorithm),
    der(derTags.bitString, Buffer.of(0), signature),
  );
  const lines = bytes.toString("base64").replaceAll(/.{64}/g, "$&\n");
  const certificate = `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
  return { mspId, key: ownKey, serialized: serializeIdentity({ mspId, certificate }) };
}
