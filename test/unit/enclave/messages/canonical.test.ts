import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { SignaturePolicySchema } from "../../../../src/enclave/messages/generated/fabric/common_pb.ts";
import { ChaincodeInputSchema, ResponseSchema } from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import { KVRWSetSchema, KVWriteSchema } from "../../../../src/enclave/messages/generated/fabric/rwset_pb.ts";
import { AttestedDataSchema, CCParametersSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { GenerationRecordSchema } from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { SealedEnclaveSchema } from "../../../../src/enclave/messages/generated/fpc/sealed_pb.ts";
import { RequestSchema } from "../../../../src/enclave/messages/generated/fpc/trusted_ledger_pb.ts";
import { decodeStrict, encode, maxMessageBytes } from "../../../../src/enclave/messages/strict.ts";
import { reason } from "../protocol/fixtures.ts";

const parameters = create(CCParametersSchema, {
  chaincodeId: "auction",
  version: "A1",
  sequence: 300n,
  channelId: "ch1",
});
const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

test("a message in its canonical encoding is read", () => {
  const read = decodeStrict(CCParametersSchema, encode(CCParametersSchema, parameters));
  assert.deepEqual([read.chaincodeId, read.version, read.sequence, read.channelId], ["auction", "A1", 300n, "ch1"]);
});

test("every cut of a message is refused, or is the message without its last fields", () => {
  const bytes = encode(CCParametersSchema, parameters);
  const ends = new Set([0, 9, 13, 16, bytes.length]);
  for (let length = 0; length <= bytes.length; length += 1) {
    const cut = () => decodeStrict(CCParametersSchema, bytes.subarray(0, length));
    if (ends.has(length)) cut();
    else assert.throws(cut, reason("MALFORMED", /^CCParameters/), `cut to ${length}`);
  }
});

const refusals: readonly [what: string, bytes: string, about: RegExp][] = [
  ["a field given twice", "0a0161 0a0162", /^CCParameters\.chaincode_id is given twice/],
  ["fields out of order", "120161 0a0161", /^CCParameters\.chaincode_id is out of order/],
  ["an unknown field", "2a0161", /^CCParameters has a field of number 5, which is unknown/],
  ["an unknown field of number 2^29-1", "faffffff0f00", /^CCParameters has a field of number/],
  ["a field of number 0", "020161", /^CCParameters has a field of number 0/],
  ["a tag of more than 32 bits", "8a8080808001 00", /^CCParameters has a broken field tag/],
  ["a tag that is longer than it has to be", "8a00 0161", /^CCParameters has a broken field tag/],
  ["a tag that does not end", "8a", /^CCParameters has a broken field tag/],
  ["text of the wire type of a number", "0801", /^CCParameters\.chaincode_id has wire type 0/],
  ["a number of the wire type of text", "1a0101", /^CCParameters\.sequence has wire type 2/],
  ["a group", "0b0c", /^CCParameters\.chaincode_id has wire type 3/],
  ["empty text spelt out", "0a00", /^CCParameters\.chaincode_id is spelt out at its default/],
  ["zero spelt out", "1800", /^CCParameters\.sequence is spelt out at its default/],
  ["a number that is longer than it has to be", "188100", /^CCParameters\.sequence .* longer than it has to be/],
  ["a number of more than 64 bits", "18ffffffffffffffffff02", /^CCParameters\.sequence/],
  ["a number of eleven bytes", "18ffffffffffffffffffff01", /^CCParameters\.sequence/],
  ["a number that is cut", "18ff", /^CCParameters\.sequence is cut short/],
  ["a length that is longer than it has to be", "0a810061", /^CCParameters\.chaincode_id/],
  ["a length beyond the end", "0a0261", /^CCParameters\.chaincode_id is cut short/],
  ["a length of 2^63", "0affffffffffffffffff0161", /^CCParameters\.chaincode_id is cut short/],
  ["text that is not UTF-8", "0a02c328", /^CCParameters\.chaincode_id is not UTF-8/],
  ["half of a surrogate pair", "0a03eda080", /^CCParameters\.chaincode_id is not UTF-8/],
];
for (const [what, bytes, about] of refusals)
  test(`${what} is refused by the field's name`, () => {
    assert.throws(() => decodeStrict(CCParametersSchema, hex(bytes)), reason("MALFORMED", about));
  });

test("the largest number of 64 bits and negative ones are read", () => {
  assert.equal(decodeStrict(CCParametersSchema, hex("18ffffffffffffffffff01")).sequence, -1n);
  assert.equal(decodeStrict(ResponseSchema, hex("08ffffffffffffffffff01")).status, -1);
});

test("a number beyond the 32 bits of its field is refused", () => {
  assert.throws(
    () => decodeStrict(ResponseSchema, hex("088080808010")),
    reason("MALFORMED", /Response\.status .*range/),
  );
  assert.throws(
    () => decodeStrict(ResponseSchema, hex("08ffffffff0f")),
    reason("MALFORMED", /Response\.status .*range/),
  );
});

test("a truth value other than 0 and 1 is refused", () => {
  assert.throws(() => decodeStrict(KVWriteSchema, hex("1002")), reason("MALFORMED", /KVWrite\.is_delete .*range/));
});

test("a message within is checked as the whole is, and named by its path", () => {
  assert.throws(
    () => decodeStrict(AttestedDataSchema, hex("0a04 0a0161")),
    reason("MALFORMED", /^AttestedData\.cc_params is cut short/),
  );
  assert.throws(
    () => decodeStrict(AttestedDataSchema, hex("0a06 0a0161 0a0162")),
    reason("MALFORMED", /^AttestedData\.cc_params\.chaincode_id is given twice/),
  );
});

test("an empty message within is there, and is not enough where it is required", () => {
  const bytes = hex("0a00");
  assert.notEqual(decodeStrict(AttestedDataSchema, bytes).ccParams, undefined);
  assert.throws(
    () => decodeStrict(AttestedDataSchema, bytes, ["cc_params"]),
    reason("MALFORMED", /^AttestedData\.cc_params is missing or empty/),
  );
});

test("two fields of one oneof are refused, in whichever order", () => {
  const [metadata, canEndorse] = ["1205 0a036e7331", "2a03 0a0161"];
  assert.equal(decodeStrict(RequestSchema, hex(metadata)).request.case, "metadata");
  for (const bytes of [`${metadata}${canEndorse}`, `${canEndorse}${metadata}`])
    assert.throws(() => decodeStrict(RequestSchema, hex(bytes)), reason("MALFORMED", /^Request\./));
});

test("a field of a oneof may be zero, and be an empty message", () => {
  assert.deepEqual(decodeStrict(SignaturePolicySchema, hex("0800")).type, { case: "signedBy", value: 0 });
  assert.equal(decodeStrict(RequestSchema, hex("1200")).request.case, "metadata");
  assert.throws(
    () => decodeStrict(RequestSchema, hex("1200"), ["metadata"]),
    reason("MALFORMED", /Request\.metadata is missing/),
  );
  assert.throws(
    () => decodeStrict(RequestSchema, hex("1200"), ["can_endorse"]),
    reason("MALFORMED", /Request\.can_endorse/),
  );
});

test("elements of a list may be empty; a list that is required may not", () => {
  assert.equal(decodeStrict(GenerationRecordSchema, hex("2a00 2a00")).confirmedBy.length, 2);
  assert.throws(
    () => decodeStrict(GenerationRecordSchema, Buffer.alloc(0), ["confirmed_by"]),
    reason("MALFORMED", /GenerationRecord\.confirmed_by is missing or empty/),
  );
});

test("a list that another field interrupts is refused", () => {
  assert.equal(decodeStrict(KVRWSetSchema, hex("0a00 0a00 1a00")).reads.length, 2);
  assert.throws(
    () => decodeStrict(KVRWSetSchema, hex("0a00 1a00 0a00")),
    reason("MALFORMED", /KVRWSet\.reads is out of order/),
  );
});

test("a packed list is taken in one piece that is not empty, of canonical elements", () => {
  assert.deepEqual(decodeStrict(SealedEnclaveSchema, hex("2a03010001")).registered, [true, false, true]);
  for (const bytes of ["2a00", "2a0101 2a0101", "2801", "2a0102", "2a028100", "2a0181"])
    assert.throws(
      () => decodeStrict(SealedEnclaveSchema, hex(bytes)),
      reason("MALFORMED", /^SealedEnclave\.registered/),
      bytes,
    );
});

test("a map is refused: it has no canonical order", () => {
  assert.throws(
    () => decodeStrict(ChaincodeInputSchema, hex("1206 0a0161 120162")),
    reason("MALFORMED", /^ChaincodeInput\.decorations is a map/),
  );
});

test("a message that is nested too deeply is refused, and no stack runs out", () => {
  const within = (bytes: Buffer) => Buffer.concat([Buffer.of(0x12, bytes.length), bytes]);
  const nOutOf = (bytes: Buffer) => within(Buffer.concat([Buffer.of(0x12, bytes.length), bytes]));
  let bytes = Buffer.alloc(0);
  for (let depth = 0; depth < 20; depth += 1) bytes = nOutOf(bytes);
  assert.throws(() => decodeStrict(SignaturePolicySchema, bytes), reason("MALFORMED", /nested too deeply/));
});

test("a message of too many bytes is refused before it is read", () => {
  assert.throws(
    () => decodeStrict(CCParametersSchema, Buffer.alloc(maxMessageBytes + 1)),
    reason("MALFORMED", /^CCParameters is 1048577 bytes long/),
  );
  const bytes = encode(CCParametersSchema, parameters);
  assert.throws(() => decodeStrict(CCParametersSchema, bytes, [], bytes.length - 1), reason("MALFORMED", /more than/));
});

test("a message of too many fields is refused", () => {
  const bytes = Buffer.alloc(2 * 50_001);
  for (let at = 0; at < bytes.length; at += 2) bytes[at] = 0x2a;
  assert.throws(() => decodeStrict(GenerationRecordSchema, bytes), reason("MALFORMED", /more than 50000 fields/));
});

test("a field that is required and is not one of the message's is a mistake in the program", () => {
  assert.throws(() => decodeStrict(CCParametersSchema, Buffer.alloc(0), ["no_such"]), TypeError);
});
