import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { suite, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { der, derTags, derUnsigned } from "../../../../src/crypto/der.ts";
import { txIdOf } from "../../../../src/enclave/ledger/proposal.ts";
import { SignatureHeaderSchema } from "../../../../src/enclave/messages/generated/fabric/common_pb.ts";
import {
  ChaincodeEventSchema,
  SerializedIdentitySchema,
} from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import {
  assertJudged,
  channel,
  client1,
  client2,
  Followed,
  type Input,
  kv,
  peer1,
  refused,
  transaction,
  valid,
  value,
} from "./followed-channel.ts";
import { type Layer, layers } from "./layered-transaction.ts";

const after =
  (...bytes: readonly number[]) =>
  (encoded: Buffer) =>
    Buffer.concat([encoded, Buffer.from(bytes)]);
/** The header of an action that is under another one than its transaction. */
const ownHeader = Buffer.from(
  toBinary(SignatureHeaderSchema, create(SignatureHeaderSchema, { creator: Buffer.of(1), nonce: Buffer.of(2) })),
);
/** Numbers of fields that have a length in their layer: as a number they are unknown to Go. */
const lengthDelimited: Readonly<Record<(typeof layers)[number], number>> = {
  extension: 2,
  channelHeader: 4,
  signatureHeader: 1,
  actionHeader: 1,
  set: 3,
  results: 2,
  action: 1,
  responsePayload: 1,
  actionPayload: 1,
  transaction: 1,
  payload: 2,
  envelope: 1,
};
const groups = (depth: number) => [...Array(depth).fill(0x7b), ...Array(depth).fill(0x7c)] as number[];

suite("a follower takes, as Fabric's peers do, at each layer of a transaction", () => {
  for (const layer of layers) {
    const field = lengthDelimited[layer];
    test(`a known field of another wire type, an unknown one, and groups in groups, in the ${layer}`, () => {
      const number = (field << 3) | 0;
      for (const [what, bytes] of [
        ["as a number", [number, 1]],
        ["as eight bytes", [(field << 3) | 1, 1, 2, 3, 4, 5, 6, 7, 8]],
        ["as four bytes", [(field << 3) | 5, 1, 2, 3, 4]],
        ["as a group", [(field << 3) | 3, number, 1, (field << 3) | 4]],
        ["unknown", [0x7a, 1, 0x61]],
        ["unknown and long", [0xfa, 0x80, 0x00, 0x81, 0x00, 0x61]],
        ["5000 groups", groups(5000)],
      ] as const)
        assertJudged(transaction({ alter: { [layer]: after(...bytes) } }), valid, what);
    });

    test(`nothing that they refuse, in the ${layer}`, () => {
      for (const [what, bytes] of [
        ["a tag alone", [0x7a]],
        ["a length beyond the end", [0x7a, 2, 0x61]],
        ["a group without an end", [0x7b]],
        ["the end of another group", [0x7b, 0x74]],
        ["an end alone", [0x7c]],
        ["wire type 7", [0x7f]],
        ["field 0", [0x02, 0]],
        ["a number of eleven bytes", [0x78, ...Array(10).fill(0x80), 0]],
        ["10002 groups", groups(10_002)],
      ] as const) {
        const envelope = transaction({ alter: { [layer]: after(...(bytes as readonly number[])) } });
        // Of such an envelope no orderer makes a block.
        if (layer === "envelope")
          assert.throws(() => new Followed().take([[envelope, refused]]), { code: "MALFORMED" });
        else assertJudged(envelope, refused, what);
      }
    });
  }

  test("a header without a time, and one of any version", () => {
    assertJudged(transaction({ channelHeader: { timestamp: undefined } }), valid, "no time");
    assertJudged(transaction({ channelHeader: { version: 7 } }), valid, "version 7");
  });

  test("an action under a header of its own, any proposal, any status, any version", () => {
    assertJudged(transaction({ alter: { actionHeader: () => ownHeader } }), valid, "header");
    assertJudged(transaction({ alter: { proposalPayload: () => Buffer.from("noise") } }), valid, "proposal");
    assertJudged(transaction({ chaincodeAction: { response: { status: 500 } } }), valid, "status");
    assertJudged(transaction({ chaincodeAction: { response: undefined } }), valid, "no response");
    assertJudged(transaction({ version: "another" }), valid, "version");
  });

  test("an event of the chaincode itself", () => {
    const event = (chaincodeId: string) =>
      toBinary(ChaincodeEventSchema, create(ChaincodeEventSchema, { chaincodeId }));
    assertJudged(transaction({ chaincodeAction: { events: event(channel.erccName) } }), valid, "own");
    assertJudged(transaction({ chaincodeAction: { events: event(kv) } }), refused, "another's");
    assertJudged(transaction({ chaincodeAction: { events: Buffer.of(0x0a) } }), refused, "no event");
  });
});

suite("a follower refuses, as Fabric's peers do", () => {
  for (const [what, input] of [
    ["an epoch", { channelHeader: { epoch: 1n } }],
    ["another type", { channelHeader: { type: 2 } }],
    ["another id than that of nonce and creator", { txId: "0".repeat(64) }],
    ["no id", { txId: "" }],
    ["an empty nonce", { nonce: Buffer.alloc(0) }],
    ["an empty nonce, though the action has one", { nonce: Buffer.alloc(0), alter: { actionHeader: () => ownHeader } }],
    ["a chaincode without a version", { version: "" }],
    ["an action of another chaincode", { chaincodeAction: { chaincodeId: { name: kv, version: "1" } } }],
    ["an action of none", { chaincodeAction: { chaincodeId: undefined } }],
    ["a header that names no chaincode", { alter: { extension: () => Buffer.alloc(0) } }],
    ["an empty proposal", { alter: { proposalPayload: () => Buffer.alloc(0) } }],
    ["an empty header of the action", { alter: { actionHeader: () => Buffer.alloc(0) } }],
    ["no endorsement", { endorsers: [] }],
    ["one endorsement twice", { endorsers: [peer1, peer1] }],
    ["endorsements of clients", { endorsers: [client1, client2] }],
    ["a name that is no text", { alter: { channelHeader: after(0x22, 1, 0xff) } }],
    ["a set that is none", { alter: { set: () => Buffer.from("noise") } }],
    ["results that are none", { alter: { results: () => Buffer.from("noise") } }],
  ] as const satisfies readonly (readonly [string, Input])[])
    test(what, () => assertJudged(transaction(input), refused, what));

  test("what was altered after it was endorsed, or signed", () => {
    for (const layer of ["actionPayload", "transaction", "payload"] as const) {
      const flip = (bytes: Buffer) => {
        const at = bytes.indexOf(value);
        bytes[at] = (bytes[at] ?? 0) ^ 1;
        return bytes;
      };
      assertJudged(transaction({ alter: { [layer]: flip } }), refused, layer);
    }
  });
});

suite("signatures, as Fabric's peers verify them", () => {
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  /** R and S of a signature, with which another one is made. */
  const remade = (make: (r: Buffer, s: Buffer) => Buffer) => (signature: Buffer) => {
    const r = signature.subarray(4, 4 + (signature[3] ?? 0));
    return make(r, signature.subarray(6 + r.length));
  };
  const integer = (content: Uint8Array) => der(derTags.integer, content);
  const sequence = (...parts: readonly Uint8Array[]) => der(derTags.sequence, ...parts);
  const highS = (s: Buffer) =>
    Buffer.from((order - BigInt(`0x${s.toString("hex")}`)).toString(16).padStart(64, "0"), "hex");

  for (const layer of ["creatorSignature", "endorserSignature"] as const satisfies readonly Layer[]) {
    test(`count whatever follows them, or the two numbers: ${layer}`, () => {
      for (const [what, alter] of [
        ["bytes after it", after(1, 2, 3)],
        ["300 bytes after it", after(...Array(300).fill(0))],
        ["a third element", remade((r, s) => sequence(integer(r), integer(s), integer(Buffer.of(1))))],
        ["no element within it", remade((r, s) => sequence(integer(r), integer(s), Buffer.of(0xff)))],
      ] as const)
        assertJudged(transaction({ alter: { [layer]: alter } }), valid, what);
    });

    test(`do not count with a high S, negative numbers, or in another form: ${layer}`, () => {
      for (const [what, alter] of [
        ["high S", remade((r, s) => sequence(integer(r), derUnsigned(highS(s))))],
        [
          "R longer than it has to be",
          remade((r, s) => sequence(integer(Buffer.concat([Buffer.of(0), r])), integer(s))),
        ],
        ["R negative", remade((_, s) => sequence(integer(Buffer.of(0x80)), integer(s)))],
        ["S zero", remade((r) => sequence(integer(r), integer(Buffer.of(0))))],
        ["R alone", remade((r) => sequence(integer(r)))],
        [
          "a length in another form",
          (signature: Buffer) => Buffer.concat([Buffer.of(0x30, 0x81), signature.subarray(1)]),
        ],
        ["bytes before it", (signature: Buffer) => Buffer.concat([Buffer.of(0), signature])],
        ["a byte less", (signature: Buffer) => signature.subarray(0, -1)],
        ["noise", () => randomBytes(70)],
      ] as const)
        assertJudged(transaction({ alter: { [layer]: alter } }), refused, what);
    });
  }

  test("count of whom Fabric reads a certificate: the first PEM, whatever is around it", () => {
    const pem = pemOf(client1.serialized);
    const other = pemOf(client2.serialized);
    for (const [what, text, code] of [
      ["text before it", `text: of mine\n${pem}`, valid],
      ["text after it", `${pem}\ntext`, valid],
      ["text after it on its line", `${pem.trimEnd()}text`, refused],
      ["another one after it", `${pem}\n${other}`, valid],
      ["another one before it", `${other}\n${pem}`, refused],
      ["another type", pem.replaceAll("CERTIFICATE", "ANYTHING"), valid],
      ["a header", pem.replace("-----\n", "-----\nkey: value\n\n"), valid],
      ["20,000 blanks after it", `${pem}${" ".repeat(20_000)}`, valid],
      ["types that differ", pem.replace("BEGIN CERTIFICATE", "BEGIN ANYTHING"), refused],
      ["no end", pem.replace("-----END", "----END"), refused],
      ["no PEM", "noise", refused],
    ] as const) {
      const creator = { ...client1, serialized: identityOf("Org1MSP", Buffer.from(text)) };
      assertJudged(transaction({ creator }), code, what);
    }
  });

  test("count of members of an organisation that orders, and of nobody's", () => {
    assertJudged(transaction({ creator: channel.orderer }), valid, "orderer");
    assertJudged(transaction({ creator: channel.stranger }), refused, "stranger");
    assertJudged(transaction({ creator: { ...client1, key: client2.key } }), refused, "another's key");
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-384" });
    const foreignKey = { ...client1, key: createPrivateKey(privateKey.export({ type: "pkcs8", format: "pem" })) };
    const alter = { creatorSignature: () => sign("sha256", Buffer.from("noise"), foreignKey.key) };
    assertJudged(transaction({ alter }), refused, "of another curve");
  });
});

suite("ids of transactions, as Fabric's peers keep them", () => {
  test("are used up by whoever claims them in an earlier block, valid or not", () => {
    const nonce = randomBytes(24);
    const txId = txIdOf(nonce, client1.serialized);
    for (const [what, claim] of [
      ["of another creator", transaction({ creator: client2, txId, endorsers: [] })],
      ["without endorsements", transaction({ nonce, endorsers: [] })],
      ["signed by nobody", transaction({ nonce, alter: { creatorSignature: () => Buffer.from("noise") } })],
      ["of another type", transaction({ nonce, channelHeader: { type: 9 } })],
      ["claiming none", transaction({ nonce, txId: "" })],
    ] as const) {
      const followed = new Followed();
      followed.take([[claim, refused]]);
      followed.take([[transaction({ nonce }), 9]]);
      assert.equal(followed.value, undefined, what);
      followed.take([[transaction(), valid]]);
      assert.equal(followed.value, value.toString(), what);
    }
  });

  test("are the first one's in a block whose endorsements suffice, even if it comes to nothing", () => {
    const nonce = randomBytes(24);
    const late = transaction({ nonce });
    const unendorsed = transaction({ nonce, endorsers: [] });
    const stale = transaction({
      nonce,
      sets: [{ namespace: channel.erccName, set: { reads: [{ key: "a", version: { blockNum: 1n, txNum: 0n } }] } }],
    });
    const first = new Followed();
    first.take([
      [unendorsed, 10],
      [late, valid],
      [late, 9],
    ]);
    assert.equal(first.value, value.toString());
    const second = new Followed();
    second.take([
      [stale, 11],
      [late, 9],
    ]);
    assert.equal(second.value, undefined);
  });
});

function identityOf(mspid: string, idBytes: Uint8Array): Buffer {
  return Buffer.from(toBinary(SerializedIdentitySchema, create(SerializedIdentitySchema, { mspid, idBytes })));
}

function pemOf(serialized: Buffer): string {
  return serialized.subarray(serialized.indexOf("-----BEGIN")).toString("latin1");
}
