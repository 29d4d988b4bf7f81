import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { suite, test } from "node:test";
import { DerReader, der, derTags, derUnsigned } from "../../../../src/crypto/der.ts";
import { lifecycleName } from "../../../../src/enclave/ledger/definitions.ts";
import { readMessage } from "../../../../src/enclave/ledger/fabric-message.ts";
import { serializeIdentity } from "../../../../src/enclave/ledger/membership.ts";
import { SerializedIdentitySchema } from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import { channel, Followed, key, kv, peer1, records, transaction, valid, value } from "./followed-channel.ts";
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
    const [, peer2] = channel.peers;
    assert.ok(peer2);
    followed.take([[transaction({ endorsers: [flipped(peer1), flipped(peer2)] }), valid]]);
    assert.equal(followed.follower.value(key)?.toString(), value.toString());
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
