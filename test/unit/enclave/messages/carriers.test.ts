import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { packAny, unpackAny } from "../../../../src/enclave/messages/any.ts";
import { decodeArgument, decodeBase64, encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { CCParametersSchema, HostParametersSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { encode, maxMessageBytes } from "../../../../src/enclave/messages/strict.ts";
import { reason } from "../protocol/fixtures.ts";

const parameters = create(CCParametersSchema, { chaincodeId: "auction", sequence: 1n });
const value = encode(CCParametersSchema, parameters);
const field = "Outer.inner";

test("an Any is written by Go's prefix, and read by Go's and upstream's C++ one", () => {
  assert.equal(packAny(CCParametersSchema, parameters).typeUrl, "type.googleapis.com/fpc.CCParameters");
  for (const prefix of ["type.googleapis.com/", "github.com/fpc/"]) {
    const any = create(AnySchema, { typeUrl: `${prefix}fpc.CCParameters`, value });
    assert.equal(unpackAny(CCParametersSchema, any, field).chaincodeId, "auction");
  }
});

test("an Any of another prefix, another type, or none is refused by its field's name", () => {
  for (const typeUrl of [
    "",
    "fpc.CCParameters",
    "/fpc.CCParameters",
    "type.googleapis.com/fpc.HostParameters",
    "type.googleapis.com//fpc.CCParameters",
    "type.googleapis.com/fpc.CCParameters/",
    "type.googleapis.com/fpc.CCParameters ",
    "TYPE.googleapis.com/fpc.CCParameters",
    "https://type.googleapis.com/fpc.CCParameters",
    "evil.example/fpc.CCParameters",
    "github.com/fpc/type.googleapis.com/fpc.CCParameters",
    "github.com/fpc/fpc.ccparameters",
  ])
    assert.throws(
      () => unpackAny(CCParametersSchema, create(AnySchema, { typeUrl, value }), field),
      reason("MALFORMED", /^Outer\.inner is not of type fpc\.CCParameters/),
      typeUrl,
    );
  assert.throws(() => unpackAny(CCParametersSchema, undefined, field), reason("MALFORMED", /^Outer\.inner is missing/));
});

test("what an Any holds is read strictly, with what is required of it", () => {
  const twice = create(AnySchema, {
    typeUrl: "type.googleapis.com/fpc.CCParameters",
    value: Buffer.concat([value, value]),
  });
  assert.throws(() => unpackAny(CCParametersSchema, twice, field), reason("MALFORMED", /CCParameters\.chaincode_id/));
  const any = packAny(CCParametersSchema, parameters);
  assert.throws(
    () => unpackAny(CCParametersSchema, any, field, ["channel_id"]),
    reason("MALFORMED", /^CCParameters\.channel_id is missing or empty/),
  );
});

test("an argument comes back as it was", () => {
  assert.equal(decodeArgument(CCParametersSchema, encodeArgument(CCParametersSchema, parameters)).sequence, 1n);
});

test("an argument of another message is refused", () => {
  const text = encodeArgument(HostParametersSchema, create(HostParametersSchema, { certificate: Buffer.of(1) }));
  assert.throws(
    () => decodeArgument(CCParametersSchema, text),
    reason("MALFORMED", /^CCParameters\.sequence has wire type 2/),
  );
});

test("base64 is taken in its canonical form alone", () => {
  assert.deepEqual(decodeBase64("+/8=", "it"), Buffer.of(0xfb, 0xff));
  for (const text of [
    "+/9=",
    "+/8",
    "+/8==",
    "-_8=",
    "+/8=\n",
    " +/8=",
    "+/ 8=",
    "+/8=+/8=",
    "=",
    "A",
    "+/8=x",
    "ä/8=",
    "+/8\u0000",
  ])
    assert.throws(
      () => decodeBase64(text, "it"),
      reason("MALFORMED", /^it is not canonical base64/),
      JSON.stringify(text),
    );
  assert.throws(() => decodeBase64("", "it"), reason("MALFORMED", /^it is empty/));
});

test("base64 of more than a message's bytes is refused before it is decoded", () => {
  assert.throws(
    () => decodeBase64("A".repeat(Math.ceil(maxMessageBytes / 3) * 4 + 4), "it"),
    reason("MALFORMED", /too long/),
  );
});
