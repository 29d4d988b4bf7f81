import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { compositeKey, recordTypes } from "../../../../src/enclave/ercc/registry-state.ts";
import type { EnclaveErrorCode } from "../../../../src/enclave/errors.ts";
import type { EvidenceJudge } from "../../../../src/enclave/evidence/judge.ts";
import { dataHash } from "../../../../src/enclave/ledger/block.ts";
import { makeGenesisBlock, readChannelConfig } from "../../../../src/enclave/ledger/channel-config.ts";
import { ChannelFollower } from "../../../../src/enclave/ledger-enclave/follower.ts";
import {
  type Block,
  BlockDataSchema,
  BlockSchema,
  EnvelopeSchema,
  type Payload,
  PayloadSchema,
} from "../../../../src/enclave/messages/generated/fabric/common_pb.ts";
import { type Change, TestChannel } from "./test-channel.ts";

const channel = await TestChannel.create();
const [peer1, peer2, peer3] = channel.peers;
const [client1] = channel.clients;
assert.ok(peer1 && peer2 && peer3 && client1);
const noJudge: EvidenceJudge = { judge: () => Promise.reject(new TypeError("a fake judge that nobody asks")) };
const key = compositeKey({ type: recordTypes.chaincodeEk, attributes: ["auction"] });
const value = Buffer.from("a chaincode's key");

/** A follower that has taken ERCC's definition, and the block with it. */
async function started() {
  const follower = new ChannelFollower(channel.genesisBlock, { erccName: channel.erccName, judge: noJudge });
  const block = channel.block(1n, channel.genesisBlock, [await channel.transaction(channel.defineErcc())]);
  follower.append(block);
  return { follower, block };
}

/** What a follower has under the key after a block with this transaction. */
async function after(change: Change, envelope?: Uint8Array): Promise<string | undefined> {
  const { follower, block } = await started();
  follower.append(channel.block(2n, block, [envelope ?? (await channel.transaction(change))]));
  assert.equal(follower.blockNumber, 2n);
  return follower.value(key)?.toString();
}

function altered(block: Uint8Array, change: (block: Block) => void): Uint8Array {
  const message = fromBinary(BlockSchema, block);
  change(message);
  return toBinary(BlockSchema, message);
}

function alteredPayload(envelope: Uint8Array, change: (payload: Payload) => void): Uint8Array {
  const message = fromBinary(EnvelopeSchema, envelope);
  const payload = fromBinary(PayloadSchema, message.payload);
  change(payload);
  message.payload = toBinary(PayloadSchema, payload);
  return toBinary(EnvelopeSchema, message);
}

const write: Change = { writes: [{ key, value }] };

suite("a follower of a channel", () => {
  test("takes what blocks prove, and says how far it is", async () => {
    const { follower, block } = await started();
    const two = channel.block(2n, block, [await channel.transaction(write)]);
    follower.append(two);
    assert.equal(follower.value(key)?.toString(), value.toString());
    follower.append(channel.block(3n, two, [await channel.transaction({ writes: [{ key }] })]));
    assert.equal(follower.value(key), undefined);
    assert.equal(follower.blockNumber, 3n);
  });

  test("passes over blocks that it has", async () => {
    const { follower, block } = await started();
    follower.append(block);
    follower.append(channel.genesisBlock);
    assert.equal(follower.blockNumber, 1n);
  });

  test("reads definitions from the blocks", async () => {
    const { follower, block } = await started();
    assert.equal((await follower.registry().definition("ercc"))?.version, "1");
    assert.equal(await follower.registry().definition("other"), undefined);
    follower.append(channel.block(2n, block, [await channel.transaction(channel.defineErcc("2", 2n))]));
    assert.equal((await follower.registry().definition("ercc"))?.sequence, 2n);
  });

  test("gives the records that begin alike in order, and no others", async () => {
    const { follower, block } = await started();
    const names = ["b", "a", "ab", "\u{1F600}", "\uFF5E"].map((name) =>
      compositeKey({ type: recordTypes.credentials, attributes: [name] }),
    );
    const writes = [...names.map((name) => ({ key: name, value })), { key, value }];
    follower.append(channel.block(2n, block, [await channel.transaction({ writes })]));
    const prefix = compositeKey({ type: recordTypes.credentials, attributes: [] });
    const inOrder = [...names].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
    assert.deepEqual(
      [...follower.range(prefix)].map(([name]) => name),
      inOrder,
    );
  });

  test("refuses the same bytes cut into other transactions, by which a host would leave some out", async () => {
    const { follower, block } = await started();
    const [wanted, other] = [await channel.transaction(write), await channel.transaction({ writes: [] })];
    const two = channel.block(2n, block, [wanted, other]);
    const payloadEnd = wanted.length - (fromBinary(EnvelopeSchema, wanted).signature.length + 2);
    for (const data of [
      [Buffer.concat([wanted, other])],
      [wanted.subarray(0, payloadEnd), wanted.subarray(payloadEnd), other],
      [wanted.subarray(0, 9), wanted.subarray(9), other],
      [wanted, other, Buffer.alloc(0)],
      [Buffer.alloc(0), wanted, other],
    ]) {
      const cut = altered(two, (message) => {
        message.data = create(BlockDataSchema, { data });
      });
      assert.throws(() => follower.append(cut), { code: "MALFORMED" }, `${data.map(({ length }) => length)}`);
    }
    follower.append(two);
    assert.equal(follower.value(key)?.toString(), value.toString());
  });

  test("takes a transaction with a field that it does not know, as Fabric's orderers pass it on", async () => {
    const transaction = await channel.transaction(write);
    assert.equal(await after(write, Buffer.concat([transaction, Buffer.of(0x7a, 1, 0x61)])), value.toString());
  });

  test("tells members of the channel from others", async () => {
    const { follower } = await started();
    assert.equal(follower.isMember(client1.serialized), true);
    assert.equal(follower.isMember(channel.stranger.serialized), false);
    assert.equal(follower.isMember(Buffer.from("noise")), false);
  });

  test("does not read names that would be another record's", async () => {
    const { follower } = await started();
    for (const attribute of ["", "a\u0000b"])
      await assert.rejects(follower.registry().get({ type: recordTypes.credentials, attributes: ["a", attribute] }), {
        code: "MALFORMED",
      });
  });
});

suite("a transaction changes nothing for a follower", () => {
  test("when one organisation too few has endorsed it", async () => {
    assert.equal(await after({ ...write, endorsers: [peer1] }), undefined);
    assert.equal(await after({ ...write, endorsers: [peer1, peer1] }), undefined);
  });

  test("when endorsers are clients, or nobody's peers", async () => {
    assert.equal(await after({ ...write, endorsers: [peer1, ...channel.clients] }), undefined);
    assert.equal(await after({ ...write, endorsers: [peer1, channel.stranger] }), undefined);
  });

  test("when its creator is nobody of the channel, or did not sign it", async () => {
    assert.equal(await after({ ...write, creator: channel.stranger }), undefined);
    const envelope = await channel.transaction(write);
    const unsigned = alteredPayload(envelope, (payload) => {
      payload.data = Buffer.concat([payload.data, Buffer.alloc(0)]);
      const header = payload.header;
      assert.ok(header);
      header.channelHeader = Buffer.concat([header.channelHeader, Buffer.from([0x40, 0x00])]);
    });
    assert.equal(await after(write, unsigned), undefined);
  });

  test("when it is of another channel, or of a chaincode without a version or a definition", async () => {
    assert.equal(await after({ ...write, channelId: "other-channel" }), undefined);
    assert.equal(await after({ ...write, chaincodeVersion: "" }), undefined);
    assert.equal(await after({ ...write, chaincode: "undefined-chaincode" }), undefined);
  });

  test("when a record that it read was changed before it, in the same block too", async () => {
    const { follower, block } = await started();
    const first = await channel.transaction({ reads: [{ key }], writes: [{ key, value }] });
    const second = await channel.transaction({ reads: [{ key }], writes: [{ key, value: Buffer.from("late") }] });
    const two = channel.block(2n, block, [first, second]);
    follower.append(two);
    assert.equal(follower.value(key)?.toString(), value.toString());
    const version = { blockNumber: 2n, position: 0n };
    const third = await channel.transaction({
      reads: [{ key, version }],
      writes: [{ key, value: Buffer.from("next") }],
    });
    const three = channel.block(3n, two, [third]);
    follower.append(three);
    assert.equal(follower.value(key)?.toString(), "next");
    const stale = await channel.transaction({
      reads: [{ key, version }],
      writes: [{ key, value: Buffer.from("old") }],
    });
    follower.append(channel.block(4n, three, [stale]));
    assert.equal(follower.value(key)?.toString(), "next");
  });

  test("when it was in a block before", async () => {
    const { follower, block } = await started();
    const envelope = await channel.transaction(write);
    const two = channel.block(2n, block, [envelope]);
    const three = channel.block(3n, two, [await channel.transaction({ writes: [{ key }] })]);
    const four = channel.block(4n, three, [envelope]);
    for (const one of [two, three, four]) follower.append(one);
    assert.equal(follower.value(key), undefined);
  });

  test("when no majority has endorsed a definition", async () => {
    const { follower, block } = await started();
    const define = { ...channel.defineErcc("9", 2n), endorsers: [peer1] };
    follower.append(channel.block(2n, block, [await channel.transaction(define)]));
    assert.equal((await follower.registry().definition("ercc"))?.version, "1");
  });

  test("when it is noise", async () => {
    const [payload, signature] = [Buffer.from("noise"), Buffer.from("noise")];
    const noise = toBinary(EnvelopeSchema, create(EnvelopeSchema, { payload, signature }));
    assert.equal(await after(write, noise), undefined);
  });
});

suite("a follower refuses", () => {
  const cases: readonly (readonly [string, (block: Buffer) => Promise<Uint8Array> | Uint8Array, EnclaveErrorCode])[] = [
    ["a block that comes too early", (block) => channel.block(3n, block, []), "WRONG_CONTEXT"],
    ["a block after another one", () => channel.block(2n, channel.genesisBlock, []), "WRONG_CONTEXT"],
    ["a block of a client", (block) => channel.block(2n, block, [], { signer: client1 }), "BAD_SIGNATURE"],
    ["a block of a peer", (block) => channel.block(2n, block, [], { signer: peer1 }), "BAD_SIGNATURE"],
    [
      "a block without signatures",
      (block) =>
        altered(channel.block(2n, block, []), ({ metadata }) => {
          assert.ok(metadata);
          metadata.metadata = [];
        }),
      "BAD_SIGNATURE",
    ],
    [
      "a block with a transaction taken out",
      async (block) =>
        altered(channel.block(2n, block, [await channel.transaction(write)]), ({ data }) => {
          assert.ok(data);
          data.data = [];
        }),
      "MALFORMED",
    ],
    [
      "a block with a transaction taken out and its header made to fit",
      async (block) =>
        altered(channel.block(2n, block, [await channel.transaction(write)]), ({ data, header }) => {
          assert.ok(data && header);
          data.data = [];
          header.dataHash = dataHash([]);
        }),
      "BAD_SIGNATURE",
    ],
    ["no block", () => Buffer.from("noise"), "MALFORMED"],
    ["an empty block", () => Buffer.alloc(0), "MALFORMED"],
  ];
  for (const [what, make, code] of cases)
    test(`${what}, and stays where it is`, async () => {
      const { follower, block } = await started();
      const bytes = await make(block);
      assert.throws(() => follower.append(bytes), { code });
      assert.equal(follower.blockNumber, 1n);
      follower.append(channel.block(2n, block, [await channel.transaction(write)]));
      assert.equal(follower.value(key)?.toString(), value.toString());
    });

  test("a changed bit in any byte of a block that counts", async () => {
    const { follower, block } = await started();
    const next = channel.block(2n, block, [await channel.transaction(write)]);
    // The last four metadata, which are empty here, are the peer's own and bind nobody.
    for (let at = 0; at < next.length - 8; at += 7) {
      const changed = Buffer.from(next);
      // Of a tag it is the field's number; its lowest bits are a wire type, which protobuf-es does not look at.
      changed.writeUInt8(changed.readUInt8(at) ^ 0x20, at);
      let code = "taken";
      try {
        follower.append(changed);
      } catch (error) {
        code = (error as { code: string }).code;
      }
      // One whose number is made lower is passed over, as one that is there already.
      if (code !== "taken")
        assert.ok(["MALFORMED", "BAD_SIGNATURE", "WRONG_CONTEXT"].includes(code), `byte ${at}: ${code}`);
      assert.equal(follower.blockNumber, 1n, `byte ${at}`);
      assert.equal(follower.value(key), undefined);
    }
    assert.equal(follower.blockNumber, 1n);
  });

  test("to go on after a change of the configuration, and to answer from what it had before", async () => {
    const { follower, block } = await started();
    const [genesisEnvelope] = fromBinary(BlockSchema, channel.genesisBlock).data?.data ?? [];
    assert.ok(genesisEnvelope);
    // An orderer signs each later one.
    const change = { ...fromBinary(EnvelopeSchema, genesisEnvelope), signature: Buffer.from("an orderer's") };
    const envelope = toBinary(EnvelopeSchema, change);
    assert.throws(() => follower.append(channel.block(2n, block, [envelope])), { code: "WRONG_CONTEXT" });
    assert.throws(() => follower.value(key), { code: "LEDGER_UNAVAILABLE" });
    assert.throws(() => follower.isMember(client1.serialized), { code: "LEDGER_UNAVAILABLE" });
    assert.throws(() => [...follower.range("a")], { code: "LEDGER_UNAVAILABLE" });
    await assert.rejects(follower.canEndorse("auction", "AB".repeat(32)), { code: "LEDGER_UNAVAILABLE" });
    assert.throws(() => follower.append(channel.block(2n, block, [])), { code: "LEDGER_UNAVAILABLE" });
  });

  test("to go on when the peer has judged a transaction of the registry otherwise", async () => {
    const stopped = await started();
    const two = channel.block(2n, stopped.block, [await channel.transaction(write)], { codes: [11] });
    assert.throws(() => stopped.follower.append(two), { code: "CONFLICT" });
    assert.throws(() => stopped.follower.value(key), { code: "LEDGER_UNAVAILABLE" });
    const { follower, block } = await started();
    const miscounted = channel.block(2n, block, [await channel.transaction(write)], { codes: [0, 0] });
    assert.throws(() => follower.append(miscounted), { code: "MALFORMED" });
    const invalid = await channel.transaction({ ...write, endorsers: [peer1] });
    const codes = [0, 10];
    follower.append(channel.block(2n, block, [await channel.transaction(write), invalid], { codes }));
    assert.equal(follower.blockNumber, 2n);
  });

  test("a first block that is none, or without orderers", () => {
    const settings = { erccName: "ercc", judge: noJudge };
    const { organisations } = readChannelConfig(channel.genesisBlock);
    const lawless = makeGenesisBlock({ channelId: "a", organisations, orderers: [], timestampMs: 0 });
    const second = channel.block(1n, channel.genesisBlock, []);
    const empty = toBinary(BlockSchema, create(BlockSchema));
    for (const block of [lawless, second, empty, Buffer.from("noise")])
      assert.throws(() => new ChannelFollower(block, settings), { code: "MALFORMED" });
  });
});
