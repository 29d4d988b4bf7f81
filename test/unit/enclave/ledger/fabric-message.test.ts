import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readMessage } from "../../../../src/enclave/ledger/fabric-message.ts";
import { ChannelHeaderSchema } from "../../../../src/enclave/messages/generated/fabric/common_pb.ts";
import { SerializedIdentitySchema } from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";

/*
 * Fabric's peers are written in Go, whose protobuf takes numbers of up to 64 bits in up to ten bytes, and refuses all others.
 * What is taken here and not there is a transaction that a ledger enclave counts as valid, and no peer applies.
 */
const mspId = Buffer.from("Org1MSP");
const field = (tag: number, length: readonly number[], content: Uint8Array) =>
  Buffer.concat([Buffer.of(tag, ...length), content]);
const high = (count: number) => Array.from({ length: count }, () => 0x80);

describe("a message of Fabric", () => {
  it("is taken with numbers that are longer than they have to be, as Fabric takes them", () => {
    const { mspid } = readMessage(SerializedIdentitySchema, field(0x0a, [0x87, 0x80, 0x00], mspId));
    assert.equal(mspid, "Org1MSP");
    assert.equal(readMessage(ChannelHeaderSchema, Buffer.of(0x08, 0x83, 0x80, 0x00)).type, 3);
  });

  for (const [what, bytes] of [
    ["a length of 2^32 and some more", field(0x0a, [0x87, ...high(3), 0x10], mspId)],
    ["a length of 2^35 and some more", field(0x0a, [0x87, ...high(4), 0x01], mspId)],
    ["a length of more than 64 bits", field(0x0a, [0x87, ...high(8), 0x02], mspId)],
    ["a length of eleven bytes", field(0x0a, [0x87, ...high(9), 0x00], mspId)],
    ["a length beyond the end", field(0x0a, [0x08], mspId)],
    ["an unknown field with a length of 2^32 and some more", field(0x7a, [0x87, ...high(3), 0x10], mspId)],
    ["an unknown number of more than 64 bits", Buffer.of(0x78, ...high(9), 0x02)],
    ["an unknown number of eleven bytes", Buffer.of(0x78, ...high(10), 0x00)],
    ["an unknown number without end", Buffer.of(0x78, ...high(10))],
    ["such a number in an unknown group", Buffer.of(0x7b, 0x08, ...high(9), 0x02, 0x7c)],
    ["such a length in an unknown group", Buffer.concat([Buffer.of(0x7b, 0x0a, 0x81, ...high(3), 0x10, 1, 0x7c)])],
    ["a group that is not ended", Buffer.of(0x7b, 0x08, 1)],
    ["the end of a group that has not begun", Buffer.of(0x7c)],
    ["a field of number 0", Buffer.of(0x02, 0)],
  ] as const)
    it(`is refused with ${what}`, () => {
      assert.throws(() => readMessage(SerializedIdentitySchema, bytes), { code: "MALFORMED" });
    });

  for (const [what, bytes] of [
    ["a number of more than 64 bits", Buffer.of(0x08, 0x83, ...high(8), 0x02)],
    ["a number of eleven bytes", Buffer.of(0x08, 0x83, ...high(9), 0x00)],
  ] as const)
    it(`is refused with ${what} in a field that is known`, () => {
      assert.throws(() => readMessage(ChannelHeaderSchema, bytes), { code: "MALFORMED" });
    });
});
