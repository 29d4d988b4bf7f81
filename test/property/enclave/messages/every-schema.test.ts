import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { create, type DescField, type DescFile, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import fc from "fast-check";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { decodeArgument, decodeBase64, encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { decodeStrict, encode } from "../../../../src/enclave/messages/strict.ts";
import { scaled, seed } from "../../../run-settings.ts";

const folder = join(import.meta.dirname, "../../../../src/enclave/messages/generated/fpc");

/** Every message that is read strictly, whichever part reads it. */
const schemas: DescMessage[] = [];
for (const name of readdirSync(folder).toSorted()) {
  const exported = Object.values((await import(join(folder, name))) as object) as (DescFile | DescMessage | string)[];
  for (const one of exported) if (typeof one === "object" && one.kind === "message") schemas.push(one);
}

function scalar(type: ScalarType): fc.Arbitrary<unknown> {
  switch (type) {
    case ScalarType.STRING:
      return fc.string({ unit: "grapheme", maxLength: 8 });
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 200 });
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.INT64:
    case ScalarType.SINT64:
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    case ScalarType.UINT64:
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    case ScalarType.UINT32:
      return fc.nat(0xffff_ffff);
    default:
      return fc.integer();
  }
}

function elementOf(field: DescField, depth: number): fc.Arbitrary<unknown> {
  if (field.message !== undefined) return messageOf(field.message, depth + 1);
  const type =
    field.fieldKind === "scalar" || (field.fieldKind === "list" && field.listKind === "scalar")
      ? field.scalar
      : undefined;
  return type === undefined ? fc.nat(3) : scalar(type);
}

function messageOf(schema: DescMessage, depth = 0): fc.Arbitrary<object> {
  const members: Record<string, fc.Arbitrary<unknown>> = {};
  for (const field of schema.fields) {
    const isTooDeep = depth > 3 && field.message !== undefined;
    if (field.fieldKind === "map" || field.oneof !== undefined || isTooDeep) continue;
    const value = elementOf(field, depth);
    members[field.localName] = field.fieldKind === "list" ? fc.array(value, { maxLength: 3 }) : value;
  }
  for (const oneof of schema.oneofs)
    members[oneof.localName] = fc.oneof(
      ...oneof.fields
        .filter((field) => depth <= 3 || field.message === undefined)
        .map((field) => elementOf(field, depth).map((value) => ({ case: field.localName, value }))),
      fc.constant({ case: undefined }),
    );
  return fc.record(members, { requiredKeys: [] }).map((fields) => create(schema, fields as never));
}

const cases = fc.nat(schemas.length - 1).chain((index) => {
  const schema = schemas[index] as DescMessage;
  return messageOf(schema).map((message) => ({ schema, message: message as never }));
});

test("there are messages of every part", () => {
  assert.ok(schemas.length > 50, `${schemas.length} messages`);
});

test("whatever an encoder writes of any message is read, and is the same when it is written again", () => {
  const property = fc.property(cases, ({ schema, message }) => {
    const bytes = encode(schema, message);
    assert.deepEqual(encode(schema, decodeStrict(schema, bytes)), bytes);
    if (bytes.length > 0)
      assert.deepEqual(encode(schema, decodeArgument(schema, encodeArgument(schema, message))), bytes);
  });
  fc.assert(property, { seed, numRuns: scaled(20_000) });
});

test("of any message, what is not as an encoder writes it is refused as malformed", () => {
  const change = fc.record({
    at: fc.nat(),
    bits: fc.integer({ min: 1, max: 255 }),
    cut: fc.nat(3),
    again: fc.boolean(),
  });
  const property = fc.property(cases, change, ({ schema, message }, { at, bits, cut, again }) => {
    const bytes = encode(schema, message);
    fc.pre(bytes.length > 0);
    const altered = again
      ? Buffer.concat([bytes, bytes])
      : Buffer.from(bytes.subarray(0, Math.max(1, bytes.length - cut)));
    if (!again) altered[at % altered.length] = (altered[at % altered.length] ?? 0) ^ bits;
    let read: never;
    try {
      read = decodeStrict(schema, altered) as never;
    } catch (error) {
      assert.ok(error instanceof EnclaveError && error.code === "MALFORMED", String(error));
      assert.ok(error.message.startsWith(schema.name), error.message);
      return;
    }
    assert.deepEqual(encode(schema, read), altered);
  });
  fc.assert(property, { seed, numRuns: scaled(20_000) });
});

test("any text is refused as base64, or is what encoding its bytes gives", () => {
  const text = fc.oneof(
    fc.base64String(),
    fc.string({ unit: fc.constantFrom(..."ABab01+/=-_ \n"), maxLength: 12 }),
    fc.string({ maxLength: 12 }),
  );
  const property = fc.property(text, (given) => {
    let bytes: Buffer;
    try {
      bytes = decodeBase64(given, "Message");
    } catch (error) {
      assert.ok(error instanceof EnclaveError && error.code === "MALFORMED");
      assert.match(error.message, /^Message /);
      return;
    }
    assert.equal(bytes.toString("base64"), given);
  });
  fc.assert(property, { seed, numRuns: scaled(40_000) });
});
