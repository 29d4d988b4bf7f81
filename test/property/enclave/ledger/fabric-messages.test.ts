import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { describe, it } from "node:test";
import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  type Message,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import type { GenFile } from "@bufbuild/protobuf/codegenv2";
import fc from "fast-check";
import { readMessage } from "../../../../src/enclave/ledger/fabric-message.ts";
import { readAsGo } from "../../../../src/enclave/ledger/go-message.ts";
import { file_fabric_common } from "../../../../src/enclave/messages/generated/fabric/common_pb.ts";
import { file_fabric_config } from "../../../../src/enclave/messages/generated/fabric/config_pb.ts";
import { file_fabric_lifecycle } from "../../../../src/enclave/messages/generated/fabric/lifecycle_pb.ts";
import { file_fabric_msp } from "../../../../src/enclave/messages/generated/fabric/msp_pb.ts";
import { file_fabric_peer } from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import { file_fabric_rwset } from "../../../../src/enclave/messages/generated/fabric/rwset_pb.ts";
import { scaled, seed } from "../../../run-settings.ts";

/** A message of google-protobuf: what Fabric's own package is made of. */
interface FabricMessage {
  serializeBinary(): Uint8Array;
  readonly [getter: string]: (() => unknown) | undefined;
}
type FabricClass = { deserializeBinary(bytes: Uint8Array): FabricMessage } & Record<string, unknown>;

const require = createRequire(import.meta.url);
const load = (path: string): Record<string, FabricClass> => require(`@hyperledger/fabric-protos/lib/${path}_pb`);
const fabric = new Map<string, FabricClass>(
  [
    "common/common",
    "common/configtx",
    "common/policies",
    "ledger/rwset/kvrwset/kv_rwset",
    "ledger/rwset/rwset",
    "msp/identities",
    "msp/msp_config",
    "msp/msp_principal",
    "peer/chaincode",
    "peer/chaincode_event",
    "peer/lifecycle/chaincode_definition",
    "peer/lifecycle/db",
    "peer/lifecycle/lifecycle",
    "peer/policy",
    "peer/proposal",
    "peer/proposal_response",
    "peer/transaction",
  ].flatMap((path) => Object.entries(load(path))),
);
// The name is in two packages; `_lifecycle` and validation parameters are of this one.
fabric.set("ApplicationPolicy", load("peer/policy").ApplicationPolicy ?? assert.fail());

const files: readonly GenFile[] = [
  file_fabric_common,
  file_fabric_config,
  file_fabric_lifecycle,
  file_fabric_msp,
  file_fabric_peer,
  file_fabric_rwset,
];
const schemas = files.flatMap((file) => file.messages);

const text = fc.string({ unit: "grapheme", maxLength: 12 });
const bytes = fc.uint8Array({ maxLength: 24 });
/** What a JavaScript number holds: Fabric's package reads 64 bits into one. */
const unsigned = fc.bigInt(0n, BigInt(Number.MAX_SAFE_INTEGER));
const signed = fc.bigInt(BigInt(Number.MIN_SAFE_INTEGER), BigInt(Number.MAX_SAFE_INTEGER));

function scalar(type: ScalarType): fc.Arbitrary<unknown> {
  switch (type) {
    case ScalarType.STRING:
      return text;
    case ScalarType.BYTES:
      return bytes;
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.INT32:
      return fc.integer();
    case ScalarType.UINT32:
      return fc.nat(0xffff_ffff);
    case ScalarType.UINT64:
      return unsigned;
    case ScalarType.INT64:
      return signed;
    default:
      return assert.fail(`no values of type ${ScalarType[type]}`);
  }
}

function value(field: DescField, depth: number): fc.Arbitrary<unknown> {
  const single = (): fc.Arbitrary<unknown> => {
    if (field.message !== undefined) return message(field.message, depth + 1);
    return "scalar" in field && field.scalar !== undefined ? scalar(field.scalar) : assert.fail(field.name);
  };
  if (field.fieldKind === "list") return fc.array(single(), { maxLength: 3 });
  if (field.fieldKind !== "map") return single();
  // In the order in which Fabric's package writes them.
  return fc
    .dictionary(fc.stringMatching(/^[a-z]{1,6}$/), single(), { maxKeys: 3 })
    .map((entries) => Object.fromEntries(Object.entries(entries).sort(([left], [right]) => (left < right ? -1 : 1))));
}

function message(schema: DescMessage, depth = 0): fc.Arbitrary<Message> {
  const isLeaf = depth > 3;
  const plain = schema.fields.filter(({ oneof }) => oneof === undefined);
  const fields = Object.fromEntries(
    plain
      .filter(({ message }) => message === undefined || !isLeaf)
      .map((field) => [field.localName, value(field, depth)]),
  );
  const oneofs = Object.fromEntries(
    schema.oneofs.map((oneof) => [
      oneof.localName,
      fc.oneof(
        fc.constant({ case: undefined }),
        ...oneof.fields
          .filter(({ message }) => message === undefined || !isLeaf)
          .map((field) => value(field, depth).map((chosen) => ({ case: field.localName, value: chosen }))),
      ),
    ]),
  );
  return fc
    .record({ ...fields, ...oneofs }, { requiredKeys: Object.keys(oneofs) })
    .map((init) => create(schema, init as Record<string, unknown>));
}

/** Compares each field that we know by the name of its getter in Fabric's package. */
function assertSame(schema: DescMessage, ours: Message, theirs: FabricMessage): void {
  for (const field of schema.fields) {
    const name = field.name
      .split("_")
      .map((part) => `${part[0]?.toUpperCase()}${part.slice(1)}`)
      .join("");
    const record = ours as unknown as Record<string, unknown>;
    const oneof = field.oneof && (record[field.oneof.localName] as { case?: string; value?: unknown });
    const our =
      oneof === undefined ? record[field.localName] : oneof.case === field.localName ? oneof.value : undefined;
    const suffix = field.fieldKind === "list" ? "List" : field.fieldKind === "map" ? "Map" : "";
    const isBytes = "scalar" in field && field.scalar === ScalarType.BYTES;
    const getter = `get${name}${suffix}${isBytes && field.fieldKind !== "map" ? "_asU8" : ""}`;
    const their = call(theirs, getter);
    const path = `${schema.name}.${field.name}`;
    if (oneof !== undefined && our === undefined) assert.equal(call(theirs, `has${name}`), false, path);
    else if (field.fieldKind === "list")
      for (const [index, one] of (our as unknown[]).entries())
        assertValue(field, one, (their as unknown[])[index], path);
    else if (field.fieldKind === "map")
      for (const [key, one] of Object.entries(our as object))
        assertValue(field, one, (their as Map<string, unknown>).get(key), path);
    else if (field.message === undefined || our !== undefined) assertValue(field, our, their, path);
    else assert.equal(their ?? undefined, undefined, path);
  }
}

/** Their generator spells a few names in other letters (`TransientMap` is `getTransientmapMap`). */
function call(theirs: FabricMessage, getter: string): unknown {
  const methods = Object.keys(Object.getPrototypeOf(theirs));
  const name = methods.find((one) => one.toLowerCase() === getter.toLowerCase());
  return theirs[name ?? ""]?.() ?? (name === undefined ? assert.fail(`Fabric's package has no ${getter}`) : undefined);
}

function assertValue(field: DescField, our: unknown, their: unknown, path: string): void {
  if (field.message !== undefined) assertSame(field.message, our as Message, their as FabricMessage);
  else if (our instanceof Uint8Array) assert.deepEqual(Buffer.from(their as Uint8Array), Buffer.from(our), path);
  else assert.equal(typeof our === "bigint" ? BigInt(their as number) : their, our, path);
}

const runs = scaled(400);
// Nested in another one there, under its name.
const nested: Readonly<Record<string, string>> = { NOutOf: "SignaturePolicy" };
const classOf = (schema: DescMessage): FabricClass => {
  const outer = nested[schema.name];
  const found = outer === undefined ? fabric.get(schema.name) : fabric.get(outer)?.[schema.name];
  return (found as FabricClass | undefined) ?? assert.fail(`Fabric's package has no ${schema.name}`);
};

describe("our subset of Fabric's messages", () => {
  it("is not empty", () => assert.ok(schemas.length > 40));

  for (const schema of schemas)
    it(`has ${schema.name} as Fabric's own package has it: fields, numbers, types and bytes`, () => {
      fc.assert(
        fc.property(message(schema), (ours) => {
          const encoded = toBinary(schema, ours);
          const theirs = classOf(schema).deserializeBinary(encoded);
          assertSame(schema, ours, theirs);
          const again = theirs.serializeBinary();
          assert.deepEqual(Buffer.from(again), Buffer.from(encoded));
          assert.deepEqual(readMessage(schema, again), fromBinary(schema, encoded));
        }),
        { seed, numRuns: runs },
      );
    });

  it("reads messages that have fields of theirs which it does not know", () => {
    const unknown = Buffer.concat([Buffer.of(0xd2, 0x3e, 3), Buffer.from("new"), Buffer.of(0xd8, 0x3e, 7)]);
    for (const schema of schemas) {
      const [sample] = fc.sample(message(schema), { seed, numRuns: 1 });
      if (sample === undefined) assert.fail();
      const known = toBinary(schema, sample);
      assert.deepEqual(
        { ...readMessage(schema, new Uint8Array(Buffer.concat([known, unknown]))), $unknown: undefined },
        { ...readMessage(schema, known), $unknown: undefined },
      );
    }
  });

  it("refuses a field that has another wire type than it should, at any depth, and what is cut short", () => {
    for (const schema of schemas)
      fc.assert(
        fc.property(message(schema), fc.nat(), (ours, at) => {
          const encoded = Buffer.from(toBinary(schema, ours));
          const [first] = encoded;
          if (first === undefined) return;
          const wrong = Buffer.from(encoded);
          // The tag of the first field, with wire type 5 (four bytes), which none of these has.
          wrong[0] = (first & ~7) | 5;
          assert.throws(() => readMessage(schema, wrong), { code: "MALFORMED" });
          const cut = encoded.subarray(0, 1 + (at % encoded.length));
          try {
            // A cut between two fields leaves a message; it is never one with a field half there.
            assert.equal(toBinary(schema, readMessage(schema, cut)).length, cut.length);
          } catch (error) {
            assert.equal((error as { code?: string }).code, "MALFORMED");
          }
        }),
        { seed, numRuns: scaled(40) },
      );
  });

  it("is read as Go reads it: with anything unknown among its fields at any depth, also under a known number", () => {
    for (const schema of schemas)
      fc.assert(
        fc.property(
          message(schema),
          fc.array(noise(schema), { minLength: 1, maxLength: 4 }),
          fc.nat(),
          (ours, added, at) => {
            const encoded = Buffer.from(toBinary(schema, ours));
            const plain = { ...readMessage(schema, encoded), $unknown: undefined };
            assert.deepEqual({ ...readAsGo(schema, encoded), $unknown: undefined }, plain);
            const noisy = amongFields(schema, encoded, Buffer.concat(added), at);
            assert.deepEqual({ ...readAsGo(schema, noisy), $unknown: undefined }, plain);
          },
        ),
        { seed, numRuns: scaled(100) },
      );
  });

  it("of which Go reads no more than the strict reader, but for what is unknown, and no noise otherwise than as malformed", () => {
    for (const schema of schemas)
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
          const strict = attempt(() => readMessage(schema, bytes));
          const asGo = attempt(() => readAsGo(schema, bytes));
          if (strict !== undefined)
            assert.deepEqual({ ...asGo, $unknown: undefined }, { ...strict, $unknown: undefined });
        }),
        { seed, numRuns: scaled(200) },
      );
  });
});

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    assert.equal((error as { code?: string }).code, "MALFORMED");
    return undefined;
  }
}

/** A field that Go passes over in this message. */
function noise(schema: DescMessage): fc.Arbitrary<Buffer> {
  const known = schema.fields.map((field) => ({ number: field.number, isNumber: isNumber(field) }));
  const tag = (number: number, wireType: number) => Buffer.of(((number << 3) | wireType) & 0x7f);
  return fc.oneof(
    fc.constantFrom(...known).map(({ number }) => Buffer.concat([tag(number, 5), Buffer.alloc(4, 0x55)])),
    fc.constantFrom(...known).map(({ number }) => Buffer.concat([tag(number, 3), Buffer.of(0x08, 1), tag(number, 4)])),
    fc
      .constantFrom(...known)
      .map(({ number, isNumber: is }) =>
        is ? Buffer.concat([tag(number, 2), Buffer.of(1, 0x61)]) : Buffer.concat([tag(number, 0), Buffer.of(7)]),
      ),
    fc.constant(Buffer.of(0x7a, 2, 0xff, 0xff)),
  );
}

function isNumber(field: DescField): boolean {
  return field.fieldKind === "scalar" && field.scalar !== ScalarType.STRING && field.scalar !== ScalarType.BYTES;
}

/** The message with these bytes between two of its fields, or at an end. */
function amongFields(schema: DescMessage, encoded: Buffer, added: Buffer, at: number): Buffer {
  // Encoding each field alone tells where one ends.
  const ends = [0, encoded.length];
  for (let end = 1; end < encoded.length; end += 1) {
    const head = attempt(() => readMessage(schema, encoded.subarray(0, end)));
    if (head !== undefined && attempt(() => readMessage(schema, encoded.subarray(end))) !== undefined) ends.push(end);
  }
  const place = ends[at % ends.length] ?? 0;
  return Buffer.concat([encoded.subarray(0, place), added, encoded.subarray(place)]);
}
