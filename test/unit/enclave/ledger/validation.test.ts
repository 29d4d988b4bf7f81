import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { signingIdentity } from "../../../../src/enclave/ledger/embedded/identities.ts";
import type { Membership } from "../../../../src/enclave/ledger/membership.ts";
import { policyOf } from "../../../../src/enclave/ledger/signature-policy.ts";
import { validateBlock } from "../../../../src/enclave/ledger/validation.ts";
import { validationCodes } from "../../../../src/enclave/ledger/validation-codes.ts";
import {
  ChannelHeaderSchema,
  EnvelopeSchema,
  type Payload,
  PayloadSchema,
} from "../../../../src/enclave/messages/generated/fabric/common_pb.ts";
import {
  ChaincodeActionPayloadSchema,
  type Transaction,
  TransactionSchema,
} from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import { TxReadWriteSetSchema } from "../../../../src/enclave/messages/generated/fabric/rwset_pb.ts";
import {
  chaincode,
  channelId,
  membershipOf,
  type TrialEnvelope,
  type TrialOrganisation,
  TrialState,
  trialEnvelope,
  trialOrganisation,
  twoOf,
} from "./trial-channel.ts";

const codeName = (code: number | undefined) =>
  Object.entries(validationCodes).find(([, number]) => number === code)?.[0] ?? String(code);

describe("a committing peer", () => {
  let organisations: readonly TrialOrganisation[];
  let stranger: TrialOrganisation;
  let membership: Membership;
  let signers: Membership;
  let state: TrialState;
  before(async () => {
    organisations = await Promise.all(["Org1MSP", "Org2MSP", "Org3MSP"].map(trialOrganisation));
    stranger = await trialOrganisation("Org1MSP");
    membership = membershipOf(organisations);
    signers = membershipOf(organisations, "fabric");
    state = new TrialState(twoOf(organisations));
  });
  const organisation = (index: number) => organisations[index] ?? assert.fail();
  const peers = (...indexes: readonly number[]) => indexes.map((index) => organisation(index).peer);
  const good = () => ({ creator: organisation(0).client, endorsers: peers(0, 1) });
  const envelopeOf = async (input: Partial<TrialEnvelope> = {}) =>
    (await trialEnvelope({ ...good(), ...input })).envelope;

  const judge = (envelopes: readonly Uint8Array[], over: TrialState = state, number = 2n) =>
    validateBlock({ number, envelopes }, { channelId, membership, signers }, over);
  const codesOf = (envelopes: readonly Uint8Array[], over?: TrialState) => judge(envelopes, over).codes.map(codeName);
  const codeOf = async (input: Partial<TrialEnvelope>, over?: TrialState) =>
    codesOf([await envelopeOf(input)], over)[0];

  /** The envelope with its payload changed, signed by its creator again. */
  async function resigned(change: (payload: Payload) => void): Promise<Uint8Array> {
    const envelope = fromBinary(EnvelopeSchema, await envelopeOf());
    const payload = fromBinary(PayloadSchema, envelope.payload);
    change(payload);
    envelope.payload = toBinary(PayloadSchema, payload);
    envelope.signature = await organisation(0).client.sign(envelope.payload);
    return toBinary(EnvelopeSchema, envelope);
  }
  const withTransaction = (change: (transaction: Transaction) => void) =>
    resigned((payload) => {
      const transaction = fromBinary(TransactionSchema, payload.data);
      change(transaction);
      payload.data = toBinary(TransactionSchema, transaction);
    });
  const withAction = (change: (action: ReturnType<typeof actionOf>) => void) =>
    withTransaction((transaction) => {
      const [first] = transaction.actions;
      if (first === undefined) assert.fail();
      const action = actionOf(first.payload);
      change(action);
      first.payload = toBinary(ChaincodeActionPayloadSchema, action);
    });
  const actionOf = (bytes: Uint8Array) => fromBinary(ChaincodeActionPayloadSchema, bytes);

  it("takes what enough organisations endorsed, and writes it with its place", async () => {
    const { codes, changes, txIds } = judge([await envelopeOf()]);
    assert.deepEqual(codes.map(codeName), ["VALID"]);
    assert.equal(txIds.length, 1);
    assert.deepEqual(changes, [
      { namespace: chaincode, key: "a", value: Buffer.from("b"), version: { blockNumber: 2n, position: 0n } },
    ]);
  });

  describe("refuses endorsements", () => {
    it("of one organisation less than the policy wants, or of none", async () => {
      assert.equal(await codeOf({ endorsers: peers(0) }), "ENDORSEMENT_POLICY_FAILURE");
      const none = await withAction((action) => {
        if (action.action !== undefined) action.action.endorsements = [];
      });
      assert.deepEqual(codesOf([none]), ["ENDORSEMENT_POLICY_FAILURE"]);
    });

    it("of one organisation twice", async () => {
      const { authority, mspId } = organisation(0);
      const second = signingIdentity(mspId, await authority.issue({ commonName: "peer1", units: ["peer"] }));
      assert.equal(await codeOf({ endorsers: [...peers(0), second] }), "ENDORSEMENT_POLICY_FAILURE");
      assert.equal(await codeOf({ endorsers: peers(0, 0) }), "ENDORSEMENT_POLICY_FAILURE");
    });

    it("of an organisation that the policy does not name", async () => {
      const over = new TrialState(policyOf(2, ["Org1MSP", "Org2MSP"]));
      assert.equal(await codeOf({ endorsers: peers(0, 2) }, over), "ENDORSEMENT_POLICY_FAILURE");
      assert.equal(await codeOf({ endorsers: peers(0, 1) }, over), "VALID");
    });

    it("forged by an organisation of the same name", async () => {
      assert.equal(await codeOf({ endorsers: [stranger.peer, ...peers(1)] }), "ENDORSEMENT_POLICY_FAILURE");
    });

    it("by an organisation's client in the place of its peer", async () => {
      const { authority, mspId } = organisation(1);
      const client = signingIdentity(mspId, await authority.issue({ commonName: "client", units: ["client"] }));
      assert.equal(await codeOf({ endorsers: [...peers(0), client] }), "ENDORSEMENT_POLICY_FAILURE");
    });

    it("with the name of one peer over the signature of another", async () => {
      const swapped = await withAction(({ action }) => {
        const [first, second] = action?.endorsements ?? [];
        if (first !== undefined && second !== undefined) second.endorser = organisation(2).peer.serialized;
      });
      assert.deepEqual(codesOf([swapped]), ["ENDORSEMENT_POLICY_FAILURE"]);
    });

    it("of another transaction's result", async () => {
      const other = await envelopeOf({ sets: { writes: [{ key: "a", value: "other" }] } });
      const transaction = fromBinary(
        TransactionSchema,
        fromBinary(PayloadSchema, fromBinary(EnvelopeSchema, other).payload).data,
      );
      const theirs = actionOf(transaction.actions[0]?.payload ?? new Uint8Array()).action?.endorsements ?? [];
      const mixed = await withAction(({ action }) => {
        if (action !== undefined) action.endorsements = theirs;
      });
      assert.deepEqual(codesOf([mixed]), ["ENDORSEMENT_POLICY_FAILURE"]);
    });

    it("where the policy cannot be read", async () => {
      assert.equal(await codeOf({}, new TrialState(Buffer.alloc(0))), "INVALID_CHAINCODE");
      const { codes, changes, unknown } = judge([await envelopeOf()], new TrialState(Buffer.from("no policy")));
      assert.deepEqual(codes.map(codeName), ["INVALID_OTHER_REASON"]);
      assert.deepEqual(changes, []);
      // Which way Fabric's peers judged it is not known here.
      assert.deepEqual([...unknown.keys()], [chaincode]);
    });
  });

  it("does not look at the version of the code that was run, nor at its status: peers judge by the sequence that was read", async () => {
    assert.equal(await codeOf({ endorsedChaincode: { name: chaincode, version: "2.0" } }), "VALID");
    assert.equal(await codeOf({ status: 500 }), "VALID");
    assert.equal(await codeOf({ sets: { writes: [{ key: "", value: "x" }] } }), "VALID");
  });

  it("passes over an endorsement that is nobody's where the others suffice", async () => {
    assert.equal(await codeOf({ endorsers: [...peers(0, 1), stranger.peer] }), "VALID");
  });

  it("goes on taking transactions whose endorser's certificate has expired since", async () => {
    const { authority, mspId } = organisation(1);
    const dates = { notBefore: new Date(Date.now() - 20_000), notAfter: new Date(Date.now() - 10_000) };
    const late = signingIdentity(mspId, await authority.issue({ commonName: "peer", units: ["peer"], ...dates }));
    assert.equal(await codeOf({ endorsers: [...peers(0), late] }), "VALID");
  });

  describe("refuses a transaction", () => {
    it("that its creator did not sign, or a stranger did", async () => {
      const envelope = fromBinary(EnvelopeSchema, await envelopeOf());
      const { client } = organisation(1);
      const signature = await client.sign(envelope.payload);
      const forged = toBinary(EnvelopeSchema, create(EnvelopeSchema, { ...envelope, signature }));
      assert.deepEqual(codesOf([forged]), ["BAD_CREATOR_SIGNATURE"]);
      assert.equal(await codeOf({ creator: stranger.client }), "BAD_CREATOR_SIGNATURE");
      const unsigned = toBinary(EnvelopeSchema, create(EnvelopeSchema, { payload: envelope.payload }));
      assert.deepEqual(codesOf([unsigned]), ["BAD_CREATOR_SIGNATURE"]);
    });

    it("of another channel", async () => {
      assert.equal(await codeOf({ channelId: "other" }), "TARGET_CHAIN_NOT_FOUND");
    });

    it("that is in the ledger already, or comes twice in one block, and writes it once", async () => {
      const { envelope, txId } = await trialEnvelope(good());
      const twice = judge([envelope, envelope]);
      assert.deepEqual(twice.codes.map(codeName), ["VALID", "DUPLICATE_TXID"]);
      assert.equal(twice.txIds.length, 1);
      const over = new TrialState(twoOf(organisations));
      over.txIds.add(txId);
      assert.deepEqual(codesOf([envelope], over), ["DUPLICATE_TXID"]);
    });

    it("with the id of another, which a third one's envelope cannot use up", async () => {
      const { envelope, txId } = await trialEnvelope(good());
      const forged = create(EnvelopeSchema, { ...fromBinary(EnvelopeSchema, envelope), signature: Buffer.of(1) });
      const { codes, txIds } = judge([toBinary(EnvelopeSchema, forged), envelope]);
      assert.deepEqual(codes.map(codeName), ["BAD_CREATOR_SIGNATURE", "VALID"]);
      assert.deepEqual(txIds, [{ txId, position: 1 }]);
    });

    it("whose id is not that of its nonce and creator", async () => {
      const wrong = await resigned(({ header }) => {
        if (header === undefined) assert.fail();
        const channel = fromBinary(ChannelHeaderSchema, header.channelHeader);
        channel.txId = "0".repeat(64);
        header.channelHeader = toBinary(ChannelHeaderSchema, channel);
      });
      assert.deepEqual(codesOf([wrong]), ["BAD_PROPOSAL_TXID"]);
    });

    it("endorsed for another proposal", async () => {
      assert.equal(await codeOf({ proposalHash: Buffer.alloc(32) }), "INVALID_ENDORSER_TRANSACTION");
      const other = await trialEnvelope({ ...good(), chaincode: "other" });
      const payload = fromBinary(PayloadSchema, fromBinary(EnvelopeSchema, other.envelope).payload);
      const theirs = fromBinary(TransactionSchema, payload.data).actions[0];
      const mixed = await withTransaction((transaction) => {
        if (theirs !== undefined && transaction.actions[0] !== undefined)
          transaction.actions[0].payload = theirs.payload;
      });
      assert.deepEqual(codesOf([mixed]), ["INVALID_ENDORSER_TRANSACTION"]);
    });

    it("endorsed by another chaincode or without its version", async () => {
      const other = { name: "other", version: "1.0" };
      assert.equal(await codeOf({ endorsedChaincode: other }), "INVALID_CHAINCODE");
      assert.equal(await codeOf({ endorsedChaincode: { name: chaincode, version: "" } }), "INVALID_CHAINCODE");
    });

    it("of a chaincode that is not defined", async () => {
      assert.equal(
        await codeOf({ chaincode: "absent", sets: { namespace: "absent", writes: [{ key: "a", value: "b" }] } }),
        "INVALID_CHAINCODE",
      );
    });

    it("that writes under another chaincode's name what its policy does not allow", async () => {
      const writes = [{ key: "namespaces/fields/kv/Sequence", value: "x" }];
      assert.equal(await codeOf({ sets: { namespace: "other", writes } }), "INVALID_CHAINCODE");
    });

    it("whose sets cannot be read, or name a chaincode twice", async () => {
      assert.equal(await codeOf({ results: Buffer.from("noise") }), "BAD_RWSET");
      const set = { namespace: chaincode, rwset: new Uint8Array() };
      const twice = toBinary(TxReadWriteSetSchema, create(TxReadWriteSetSchema, { nsRwset: [set, set] }));
      assert.equal(await codeOf({ results: twice }), "BAD_RWSET");
    });

    it("with two actions, none, or one under a header that is none", async () => {
      const first = (transaction: Transaction) => transaction.actions[0] ?? assert.fail();
      for (const change of [
        (transaction: Transaction) => void transaction.actions.push(first(transaction)),
        (transaction: Transaction) => void transaction.actions.pop(),
        (transaction: Transaction) => void Object.assign(first(transaction), { header: Buffer.from("other") }),
        (transaction: Transaction) => void Object.assign(first(transaction), { payload: Buffer.from("noise") }),
      ])
        assert.deepEqual(codesOf([await withTransaction(change)]), ["INVALID_ENDORSER_TRANSACTION"]);
    });

    it("that is none", async () => {
      const config = await resigned(({ header }) => {
        if (header === undefined) assert.fail();
        header.channelHeader = toBinary(ChannelHeaderSchema, create(ChannelHeaderSchema, { type: 1, channelId }));
      });
      const unknown = await resigned(({ header }) => {
        if (header === undefined) assert.fail();
        header.channelHeader = toBinary(ChannelHeaderSchema, create(ChannelHeaderSchema, { type: 9, channelId }));
      });
      const headless = await resigned((payload) => delete payload.header);
      const noise = Buffer.from("noise");
      const noisy = toBinary(EnvelopeSchema, create(EnvelopeSchema, { payload: noise }));
      assert.deepEqual(codesOf([config, unknown, headless, noise, Buffer.alloc(0), noisy]), [
        "INVALID_CONFIG_TRANSACTION",
        "UNKNOWN_TX_TYPE",
        "BAD_PAYLOAD",
        "NIL_ENVELOPE",
        "NIL_ENVELOPE",
        "BAD_PAYLOAD",
      ]);
    });
  });

  it("takes no envelope with any one of its bytes altered", async () => {
    const envelope = await envelopeOf();
    for (let at = 0; at < envelope.length; at += 11) {
      const altered = Buffer.from(envelope);
      altered[at] = (altered[at] ?? 0) ^ 1;
      assert.notDeepEqual(codesOf([altered]), ["VALID"], `byte ${at}`);
    }
  });

  describe("compares what was read with what is", () => {
    const at = (blockNumber: bigint, position = 0n) => ({ blockNumber, position });
    const stateWith = (keys: Readonly<Record<string, bigint>>) => {
      const over = new TrialState(twoOf(organisations));
      for (const [key, block] of Object.entries(keys))
        over.apply({ namespace: chaincode, key, value: Buffer.from("old"), version: at(block) });
      return over;
    };
    const writes = [{ key: "z", value: "x" }];

    it("and refuses what has another version, is gone, or has come since", async () => {
      const over = stateWith({ a: 1n });
      const reading = (key: string, version?: { blockNumber: bigint; position: bigint }) =>
        codeOf({ sets: { reads: [version === undefined ? { key } : { key, version }], writes } }, over);
      assert.equal(await reading("a", at(1n)), "VALID");
      assert.equal(await reading("b"), "VALID");
      assert.equal(await reading("a", at(0n)), "MVCC_READ_CONFLICT");
      assert.equal(await reading("a", at(1n, 1n)), "MVCC_READ_CONFLICT");
      assert.equal(await reading("a"), "MVCC_READ_CONFLICT");
      assert.equal(await reading("b", at(1n)), "MVCC_READ_CONFLICT");
    });

    it("and refuses what an earlier transaction of the block writes or deletes", async () => {
      const over = stateWith({ a: 1n });
      const reads = [{ key: "a", version: at(1n) }];
      for (const write of [{ key: "a", value: "new" }, { key: "a" }]) {
        const first = await envelopeOf({ sets: { writes: [write] } });
        const second = await envelopeOf({ sets: { reads, writes } });
        assert.deepEqual(codesOf([first, second], over), ["VALID", "MVCC_READ_CONFLICT"]);
        assert.deepEqual(codesOf([second, first], over), ["VALID", "VALID"]);
      }
    });

    it("and is not stopped by what a refused transaction would have written", async () => {
      const reads = [{ key: "a" }];
      const refused = await envelopeOf({ endorsers: peers(0), sets: { writes: [{ key: "a", value: "x" }] } });
      const later = await envelopeOf({ sets: { reads, writes } });
      assert.deepEqual(codesOf([refused, later]), ["ENDORSEMENT_POLICY_FAILURE", "VALID"]);
    });

    it("and refuses a range in which a key has come, gone or changed", async () => {
      const seen = [
        { key: "b", version: at(1n) },
        { key: "d", version: at(1n) },
      ];
      const range = { startKey: "a", endKey: "m", isExhausted: true, reads: seen };
      const reading = (over: TrialState) => codeOf({ sets: { ranges: [range], writes } }, over);
      assert.equal(await reading(stateWith({ b: 1n, d: 1n, m: 9n })), "VALID");
      for (const over of [
        stateWith({ b: 1n, c: 1n, d: 1n }),
        stateWith({ b: 1n }),
        stateWith({ b: 1n, d: 2n }),
        stateWith({ b: 1n, d: 1n, l: 1n }),
      ])
        assert.equal(await reading(over), "PHANTOM_READ_CONFLICT");
    });

    it("and counts a range that was left half-way only as far as it was read, that key included", async () => {
      const range = { startKey: "a", endKey: "b", isExhausted: false, reads: [{ key: "b", version: at(1n) }] };
      const reading = (over: TrialState) => codeOf({ sets: { ranges: [range], writes } }, over);
      assert.equal(await reading(stateWith({ b: 1n, c: 5n })), "VALID");
      assert.equal(await reading(stateWith({ b: 2n })), "PHANTOM_READ_CONFLICT");
      assert.equal(await reading(stateWith({ a: 1n, b: 1n })), "PHANTOM_READ_CONFLICT");
    });

    it("and refuses a range into which an earlier transaction of the block writes", async () => {
      const over = stateWith({ b: 1n });
      const range = { startKey: "a", endKey: "", isExhausted: true, reads: [{ key: "b", version: at(1n) }] };
      const reader = await envelopeOf({ sets: { ranges: [range], writes: [{ key: "0", value: "x" }] } });
      for (const write of [{ key: "c", value: "new" }, { key: "b" }, { key: "b", value: "new" }]) {
        const writer = await envelopeOf({ sets: { writes: [write] } });
        assert.deepEqual(codesOf([writer, reader], over), ["VALID", "PHANTOM_READ_CONFLICT"]);
      }
      const outside = await envelopeOf({ sets: { writes: [{ key: "A", value: "new" }] } });
      assert.deepEqual(codesOf([outside, reader], over), ["VALID", "VALID"]);
    });

    it("and refuses what rests on a definition that has changed", async () => {
      const over = new TrialState(twoOf(organisations));
      over.apply({
        namespace: "_lifecycle",
        key: `namespaces/fields/${chaincode}/Sequence`,
        value: Buffer.of(8, 2),
        version: at(5n),
      });
      assert.equal(await codeOf({}, over), "MVCC_READ_CONFLICT");
    });
  });

  it("writes the last of several values of a key, and nothing of what is refused", async () => {
    const { codes, changes } = judge([
      await envelopeOf({ sets: { writes: [{ key: "a", value: "1" }] } }),
      await envelopeOf({ sets: { writes: [{ key: "a", value: "2" }, { key: "b" }] } }),
      await envelopeOf({ endorsers: peers(0), sets: { writes: [{ key: "c", value: "3" }] } }),
    ]);
    assert.deepEqual(codes.map(codeName), ["VALID", "VALID", "ENDORSEMENT_POLICY_FAILURE"]);
    const version = { blockNumber: 2n, position: 1n };
    assert.deepEqual(changes, [
      { namespace: chaincode, key: "a", value: Buffer.from("2"), version },
      { namespace: chaincode, key: "b", value: undefined, version },
    ]);
  });
});
