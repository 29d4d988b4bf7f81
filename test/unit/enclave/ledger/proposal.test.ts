import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { sha256 } from "../../../../src/enclave/ledger/low-s.ts";
import { makeProposal, readProposal, txIdOf, visiblePayload } from "../../../../src/enclave/ledger/proposal.ts";
import {
  ChannelHeaderSchema,
  HeaderSchema,
  SignatureHeaderSchema,
} from "../../../../src/enclave/messages/generated/fabric/common_pb.ts";
import {
  ChaincodeProposalPayloadSchema,
  ProposalSchema,
} from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";

const input = {
  channelId: "trial",
  chaincode: "kv",
  transaction: "put",
  args: ["a", Buffer.of(0xff, 0)],
  creator: Buffer.from("creator"),
  nonce: Buffer.alloc(24, 5),
  timestampMs: 1_700_000_000_123,
};
const malformed = { code: "MALFORMED" };

/** The proposal with one of its parts changed. */
function changed(part: {
  channelHeader?: (header: ReturnType<typeof headers>["channel"]) => void;
  signatureHeader?: (header: ReturnType<typeof headers>["signature"]) => void;
  payload?: Uint8Array;
}): Uint8Array {
  const { proposal, channel, signature } = headers();
  part.channelHeader?.(channel);
  part.signatureHeader?.(signature);
  const header = create(HeaderSchema, {
    channelHeader: toBinary(ChannelHeaderSchema, channel),
    signatureHeader: toBinary(SignatureHeaderSchema, signature),
  });
  const payload = part.payload ?? proposal.payload;
  return toBinary(ProposalSchema, create(ProposalSchema, { header: toBinary(HeaderSchema, header), payload }));
}

function headers() {
  const proposal = fromBinary(ProposalSchema, makeProposal(input).proposal);
  const header = fromBinary(HeaderSchema, proposal.header);
  return {
    proposal,
    header,
    channel: fromBinary(ChannelHeaderSchema, header.channelHeader),
    signature: fromBinary(SignatureHeaderSchema, header.signatureHeader),
  };
}

describe("a proposal", () => {
  it("is read as it was made", () => {
    const { proposal, txId } = makeProposal(input);
    const read = readProposal(proposal);
    assert.equal(read.txId, txId);
    assert.equal(read.channelId, "trial");
    assert.equal(read.chaincode, "kv");
    assert.equal(read.timestampMs, 1_700_000_000_123);
    assert.deepEqual(
      read.args.map((arg) => Buffer.from(arg)),
      [Buffer.from("put"), Buffer.from("a"), Buffer.of(0xff, 0)],
    );
    assert.deepEqual(Buffer.from(read.creator), input.creator);
  });

  it("has the SHA-256 of nonce and creator as its transaction's id, in hexadecimal", () => {
    assert.equal(makeProposal(input).txId, sha256(input.nonce, input.creator).toString("hex"));
    assert.notEqual(makeProposal({ ...input, nonce: Buffer.alloc(24, 6) }).txId, makeProposal(input).txId);
  });

  it("has a new id each time where no nonce is given", () => {
    const { nonce: _, ...withoutNonce } = input;
    assert.notEqual(makeProposal(withoutNonce).txId, makeProposal(withoutNonce).txId);
  });

  it("has a hash over both headers and the payload that leaves the transient map out", () => {
    const { proposal, header } = headers();
    const withMap = create(ChaincodeProposalPayloadSchema, {
      ...fromBinary(ChaincodeProposalPayloadSchema, proposal.payload),
      transientMap: { secret: Buffer.from("for endorsers only") },
    });
    const payload = toBinary(ChaincodeProposalPayloadSchema, withMap);
    const expected = sha256(header.channelHeader, header.signatureHeader, proposal.payload);
    assert.deepEqual(readProposal(changed({})).hash, expected);
    assert.deepEqual(readProposal(changed({ payload })).hash, expected);
    assert.deepEqual(visiblePayload(payload), Buffer.from(proposal.payload));
  });

  it("has another hash with any other argument, channel, time or chaincode", () => {
    const { hash } = readProposal(makeProposal(input).proposal);
    for (const other of [
      { ...input, args: ["a"] },
      { ...input, channelId: "other" },
      { ...input, timestampMs: 0 },
      { ...input, chaincode: "other" },
      { ...input, transaction: "get" },
    ])
      assert.notDeepEqual(readProposal(makeProposal(other).proposal).hash, hash);
  });

  it("is refused where its id is not that of its nonce and creator", () => {
    for (const bytes of [
      changed({ channelHeader: (header) => (header.txId = txIdOf(Buffer.from("other"), input.creator)) }),
      changed({ channelHeader: (header) => (header.txId = "") }),
      changed({ signatureHeader: (header) => (header.nonce = Buffer.alloc(24, 6)) }),
      changed({ signatureHeader: (header) => (header.creator = Buffer.from("another")) }),
      changed({ signatureHeader: (header) => (header.nonce = Buffer.alloc(0)) }),
    ])
      assert.throws(() => readProposal(bytes), malformed);
  });

  it("is refused where it is not one to call a chaincode, or has no time", () => {
    for (const type of [0, 1, 2, 4])
      assert.throws(() => readProposal(changed({ channelHeader: (header) => (header.type = type) })), malformed);
    const timeless = changed({ channelHeader: (header) => delete header.timestamp });
    assert.throws(() => readProposal(timeless), malformed);
  });

  it("is refused where header and payload call different chaincodes, or none, or nothing of one", () => {
    const other = fromBinary(ProposalSchema, makeProposal({ ...input, chaincode: "other" }).proposal);
    assert.throws(() => readProposal(changed({ payload: other.payload })), malformed);
    assert.throws(() => readProposal(changed({ payload: Buffer.alloc(0) })), malformed);
    assert.throws(
      () => readProposal(changed({ channelHeader: (header) => (header.extension = Buffer.alloc(0)) })),
      malformed,
    );
  });

  it("is refused where a part of it is no message, and where it is too long", () => {
    const noise = Buffer.from("\u0007 noise");
    assert.throws(() => readProposal(noise), malformed);
    assert.throws(() => readProposal(changed({ payload: noise })), malformed);
    assert.throws(() => readProposal(changed({ channelHeader: (header) => (header.extension = noise) })), malformed);
    assert.throws(() => readProposal(Buffer.alloc((4 << 20) + 1)), malformed);
  });
});
