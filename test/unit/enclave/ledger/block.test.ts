import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, describe, it } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  blockMetadata,
  dataHash,
  headerHash,
  isSignedByOrderer,
  makeBlock,
  readBlock,
  requireFollows,
  requireWholeTransactions,
  withValidation,
} from "../../../../src/enclave/ledger/block.ts";
import { type SigningIdentity, signingIdentity } from "../../../../src/enclave/ledger/embedded/identities.ts";
import { OrganisationAuthority } from "../../../../src/enclave/ledger/embedded/organisation-authority.ts";
import { sha256 } from "../../../../src/enclave/ledger/low-s.ts";
import { Membership } from "../../../../src/enclave/ledger/membership.ts";
import {
  BlockHeaderSchema,
  BlockSchema,
  EnvelopeSchema,
} from "../../../../src/enclave/messages/generated/fabric/common_pb.ts";

const envelopes = [Buffer.from("one"), Buffer.from("two")];

describe("a block", () => {
  let orderer: SigningIdentity;
  let client: SigningIdentity;
  let orderers: Membership;
  before(async () => {
    const { authority } = await OrganisationAuthority.create("OrdererMSP");
    const member = async (unit: string) =>
      signingIdentity("OrdererMSP", await authority.issue({ commonName: unit, units: [unit] }));
    orderer = await member("orderer");
    client = await member("client");
    orderers = new Membership([{ mspId: "OrdererMSP", roots: [authority.certificate] }]);
  });
  const block = (number = 1n, previous: Uint8Array = Buffer.alloc(32, 7), signer = orderer) =>
    makeBlock(number, previous, envelopes, randomBytes(24), signer);

  it("has the hash of its header's DER, whatever the length of its number", () => {
    const hashes = `0420${"11".repeat(32)}0420${"22".repeat(32)}`;
    for (const [number, der] of [
      [0n, `3047020100${hashes}`],
      [127n, `304702017f${hashes}`],
      [128n, `304802020080${hashes}`],
      [300n, `30480202012c${hashes}`],
      [0x1_0000_0000n, `304b02050100000000${hashes}`],
    ] as const) {
      const fields = { number, previousHash: Buffer.alloc(32, 0x11), dataHash: Buffer.alloc(32, 0x22) };
      const expected = sha256(Buffer.from(der, "hex"));
      assert.deepEqual(headerHash(create(BlockHeaderSchema, fields)), expected, `number ${number}`);
    }
  });

  it("has an empty previous hash where it is the first", () => {
    const header = create(BlockHeaderSchema, { dataHash: Buffer.alloc(32, 0x22) });
    assert.deepEqual(headerHash(header), sha256(Buffer.from(`302702010004000420${"22".repeat(32)}`, "hex")));
  });

  it("has the hash of its transactions one after the other as its data's", () => {
    assert.deepEqual(dataHash(envelopes), sha256(Buffer.from("onetwo")));
  });

  it("has transactions that are each whole and nothing more, for their hash does not say where one ends", () => {
    const whole = (payload: string, signature = "s") =>
      Buffer.from(
        toBinary(
          EnvelopeSchema,
          create(EnvelopeSchema, { payload: Buffer.from(payload), signature: Buffer.from(signature) }),
        ),
      );
    const [one, two] = [whole("one"), whole("two")];
    const unknown = Buffer.of(0x7a, 1, 0x61);
    requireWholeTransactions({ number: 5n, envelopes: [one, two, Buffer.concat([one, unknown])] });
    for (const wrong of [
      Buffer.alloc(0),
      Buffer.concat([one, two]),
      Buffer.concat([one, one]),
      Buffer.concat([one, unknown, two]),
      Buffer.concat([unknown, one]),
      Buffer.concat([one.subarray(5), one.subarray(0, 5)]),
      one.subarray(0, 5),
      one.subarray(5),
      one.subarray(0, 3),
      Buffer.concat([one, two.subarray(0, 5)]),
      Buffer.concat([one, two.subarray(5)]),
      whole(""),
      whole("one", ""),
      Buffer.concat([Buffer.of(0x0a, 0x83, 0x00), one.subarray(2)]),
    ])
      assert.throws(() => requireWholeTransactions({ number: 5n, envelopes: [one, wrong] }), { code: "MALFORMED" });
  });

  it("follows the one whose number and hash it names, and no other", () => {
    const first = readBlock(block(1n));
    const second = readBlock(block(2n, first.hash));
    requireFollows(second, first);
    const wrong = { code: "WRONG_CONTEXT" };
    assert.throws(() => requireFollows(second, { ...first, number: 0n }), wrong);
    assert.throws(() => requireFollows(second, { ...first, hash: randomBytes(32) }), wrong);
    assert.throws(() => requireFollows(readBlock(block(3n, first.hash)), first), wrong);
    assert.throws(() => requireFollows(first, second), wrong);
  });

  it("is refused with a transaction altered, left out, added or in another place", () => {
    const altered = (change: (data: Uint8Array[]) => Uint8Array[]) => {
      const message = fromBinary(BlockSchema, block());
      if (message.data === undefined) assert.fail();
      message.data.data = change(message.data.data);
      return toBinary(BlockSchema, message);
    };
    for (const change of [
      () => [Buffer.from("ona"), Buffer.from("two")],
      () => [Buffer.from("one")],
      () => [...envelopes, Buffer.from("three")],
      () => envelopes.toReversed(),
      () => [],
    ])
      assert.throws(() => readBlock(altered(change)), { code: "MALFORMED" });
  });

  it("is refused without header or data, and where it is no message", () => {
    const { header, data } = fromBinary(BlockSchema, block());
    if (header === undefined || data === undefined) assert.fail();
    for (const wrong of [
      toBinary(BlockSchema, create(BlockSchema, { data })),
      toBinary(BlockSchema, create(BlockSchema, { header })),
      Buffer.from("no block"),
      Buffer.alloc(0),
    ])
      assert.throws(() => readBlock(wrong), { code: "MALFORMED" });
  });

  it("is signed by an orderer of the channel, and not with anything in its header altered", () => {
    const read = readBlock(block());
    assert.ok(isSignedByOrderer(read, orderers));
    for (const header of [
      { ...read.header, number: 2n },
      { ...read.header, previousHash: Buffer.alloc(32, 8) },
      { ...read.header, dataHash: Buffer.alloc(32, 8) },
    ])
      assert.equal(isSignedByOrderer({ ...read, header }, orderers), false);
  });

  it("is not signed by a member of the orderers' organisation that is none, by strangers, or by nobody", async () => {
    assert.equal(isSignedByOrderer(readBlock(block(1n, Buffer.alloc(32), client)), orderers), false);
    const { authority } = await OrganisationAuthority.create("OrdererMSP");
    const stranger = signingIdentity("OrdererMSP", await authority.issue({ commonName: "o", units: ["orderer"] }));
    assert.equal(isSignedByOrderer(readBlock(block(1n, Buffer.alloc(32), stranger)), orderers), false);
    assert.equal(isSignedByOrderer({ ...readBlock(block()), metadata: [] }, orderers), false);
    assert.equal(isSignedByOrderer({ ...readBlock(block()), metadata: [Buffer.from("x")] }, orderers), false);
  });

  it("stays the same block with the validation codes that a peer adds", () => {
    const bytes = block();
    const validated = readBlock(withValidation(bytes, [0, 11], Buffer.alloc(32, 3)));
    assert.deepEqual(validated.hash, readBlock(bytes).hash);
    assert.deepEqual(Buffer.from(validated.metadata[blockMetadata.validationCodes] ?? []), Buffer.of(0, 11));
    assert.ok(isSignedByOrderer(validated, orderers));
  });
});
