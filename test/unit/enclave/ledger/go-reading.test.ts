import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { der, derTags, derUnsigned } from "../../../../src/crypto/der.ts";
import { readAsGo } from "../../../../src/enclave/ledger/go-message.ts";
import { firstPemBlock } from "../../../../src/enclave/ledger/go-pem.ts";
import { isKeyOfFabric, isSignedToFabric } from "../../../../src/enclave/ledger/go-signature.ts";
import { isSignedLowS } from "../../../../src/enclave/ledger/low-s.ts";
import { ChannelHeaderSchema, PayloadSchema } from "../../../../src/enclave/messages/generated/fabric/common_pb.ts";
import {
  ApplicationPolicySchema,
  ChaincodeProposalPayloadSchema,
} from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";

describe("a message as Go reads it", () => {
  const header = (channelHeader: string, signatureHeader = "") =>
    toBinary(
      PayloadSchema,
      create(PayloadSchema, {
        header: { channelHeader: Buffer.from(channelHeader), signatureHeader: Buffer.from(signatureHeader) },
      }),
    );
  const inHeader = (...content: readonly number[]) => Buffer.from([0x0a, content.length, ...content]);

  it("has the last of a field that is given twice, and both parts of a message", () => {
    const twice = readAsGo(PayloadSchema, Buffer.concat([header("one", "first"), header("two")])).header;
    assert.equal(Buffer.from(twice?.channelHeader ?? []).toString(), "two");
    assert.equal(Buffer.from(twice?.signatureHeader ?? []).toString(), "first");
  });

  it("passes over known fields of another wire type within it, and keeps what is around them", () => {
    const noisy = inHeader(0x08, 1, 0x12, 1, 0x61, 0x0d, 1, 2, 3, 4, 0x0a, 1, 0x62, 0x13, 0x08, 7, 0x14);
    const read = readAsGo(PayloadSchema, Buffer.concat([noisy, Buffer.of(0x10, 5), header("c")])).header;
    assert.equal(Buffer.from(read?.channelHeader ?? []).toString(), "c");
    assert.equal(Buffer.from(read?.signatureHeader ?? []).toString(), "a");
  });

  it("passes over what is in an entry of a map beside its key and value", () => {
    const entry = [0x0a, 1, 0x6b, 0x10, 3, 0x1a, 1, 0x61, 0x12, 1, 0x76];
    const bytes = Buffer.from([0x12, entry.length, ...entry]);
    const { transientMap } = readAsGo(ChaincodeProposalPayloadSchema, bytes);
    assert.deepEqual(
      Object.entries(transientMap).map(([name, value]) => [name, Buffer.from(value).toString()]),
      [["k", "v"]],
    );
  });

  it("has numbers cut to their bits, and in any length up to ten bytes", () => {
    assert.equal(readAsGo(ChannelHeaderSchema, Buffer.of(0x08, 0x83, 0x80, 0x80, 0x80, 0x10)).type, 3);
    assert.equal(readAsGo(ChannelHeaderSchema, Buffer.of(0x88, 0x80, 0x00, 0x83, 0x00)).type, 3);
  });

  for (const [what, bytes] of [
    ["a text within it that is none", Buffer.of(0x22, 2, 0xc3, 0x28)],
    ["a text with half of a surrogate pair", Buffer.of(0x22, 3, 0xed, 0xa0, 0x80)],
    ["a time that is cut short", Buffer.of(0x1a, 2, 0x08, 0x80)],
    ["a field of number 2^29", Buffer.of(0x80, 0x80, 0x80, 0x80, 0x10, 0)],
    ["a tag of more than 64 bits", Buffer.from([...Array(9).fill(0xff), 0x02, 0])],
    ["a group that ends as another", Buffer.of(0x7b, 0x13, 0x7c, 0x14)],
    ["a length of 2^63", Buffer.from([0x7a, ...Array(9).fill(0x80), 0x01])],
  ] as const)
    it(`is refused with ${what}`, () => {
      assert.throws(() => readAsGo(ChannelHeaderSchema, bytes), { code: "MALFORMED" });
    });

  it("may have fields of numbers up to 2^31 within a group that is passed over", () => {
    const inGroup = (...tag: readonly number[]) => Buffer.from([0x7b, ...tag, 0, 0x7c]);
    assert.equal(readAsGo(ChannelHeaderSchema, inGroup(0x80, 0x80, 0x80, 0x80, 0x10)).type, 0);
    assert.throws(() => readAsGo(ChannelHeaderSchema, inGroup(0x80, 0x80, 0x80, 0x80, 0x40)), { code: "MALFORMED" });
  });

  it("is refused where policies are in policies more often than any is: that much work is not done for one", () => {
    let rule = Buffer.of(0x08, 0);
    const wrap = (tag: number, content: Buffer) => {
      const length = content.length < 0x80 ? [content.length] : [(content.length & 0x7f) | 0x80, content.length >> 7];
      return Buffer.concat([Buffer.from([tag, ...length]), content]);
    };
    const policy = () => wrap(0x0a, wrap(0x12, rule));
    for (let depth = 0; depth < 20; depth += 1) rule = wrap(0x12, wrap(0x12, rule));
    assert.equal(readAsGo(ApplicationPolicySchema, policy()).type.case, "signaturePolicy");
    for (let depth = 0; depth < 20; depth += 1) rule = wrap(0x12, wrap(0x12, rule));
    assert.throws(() => readAsGo(ApplicationPolicySchema, policy()), { code: "MALFORMED" });
  });
});

describe("the first PEM block as Go finds it", () => {
  const content = Buffer.from("any bytes are content");
  const base64 = content.toString("base64");
  const pem = `-----BEGIN A-----\n${base64}\n-----END A-----\n`;
  for (const [what, text] of [
    ["by itself", pem],
    ["without a line's end after it", pem.trimEnd()],
    ["with blanks in it", pem.replace(base64, `${base64.slice(0, 3)} \t\r\n\n${base64.slice(3)}`)],
    ["with blanks at the ends of its lines", pem.replaceAll("-----\n", "----- \t\r\n")],
    ["after text", `text\n${pem}`],
    ["after one that has no end", `-----BEGIN B-----\n${base64}\n${pem}`],
    ["after one of no base64", `-----BEGIN B-----\n***\n-----END B-----\n${pem}`],
    ["after one that ends as another", `-----BEGIN B-----\n${base64}\n-----END C-----\n${pem}`],
    ["with headers", pem.replace("-----\n", "-----\na: b\nc:d\n\n")],
    ["after text that holds the words", `a -----BEGIN A-----\n-----END A-----\n${pem}`],
    ["of an empty type", pem.replaceAll(" A-----", " -----")],
  ] as const)
    it(what, () => assert.deepEqual(firstPemBlock(Buffer.from(text)), content));

  it("may be empty, on two lines", () => {
    assert.deepEqual(firstPemBlock(Buffer.from("-----BEGIN A-----\n-----END A-----\n")), Buffer.alloc(0));
    assert.equal(firstPemBlock(Buffer.from("-----BEGIN A-----\na:b\n-----END A-----\n")), undefined);
  });

  it("is found among very many that begin, and none is found among them, without going over the rest for each", () => {
    const many = "-----BEGIN A-----\n".repeat(100_000);
    assert.deepEqual(firstPemBlock(Buffer.from(`${many}${pem}`)), content);
    for (const text of [many, `${many}-----END B-----\n`, `${many}*\n-----END A-----${" ".repeat(1_000_000)}x`])
      assert.equal(firstPemBlock(Buffer.from(text)), undefined);
  });

  for (const [what, text] of [
    ["of nothing", ""],
    ["of text", base64],
    ["of one in the middle of a line", `text ${pem}`],
    ["of one whose first line goes on", pem.replace("A-----\n", "A-----x\n")],
    ["of one whose last line goes on", pem.replace(/-----\n$/, "-----x\n")],
    ["of one that is cut short", pem.slice(0, -8)],
    ["of one with half a letter", pem.replace(base64, base64.slice(0, -1))],
    ["of one with a letter of another alphabet", pem.replace(base64, `-${base64.slice(1)}`)],
    ["of headers alone", "-----BEGIN A-----\na: b\n"],
  ] as const)
    it(`is none ${what}`, () => assert.equal(firstPemBlock(Buffer.from(text)), undefined));
});

describe("a signature as Fabric's peers verify it", () => {
  const message = Buffer.from("what is signed");
  const encoded = (r: Buffer, s: bigint, bytes: number) =>
    der(derTags.sequence, derUnsigned(r), derUnsigned(Buffer.from(s.toString(16).padStart(2 * bytes, "0"), "hex")));
  /** The signature with the lower S, and the one with the higher. */
  function both(key: KeyObject, bytes: number, order: bigint) {
    const raw = sign("sha256", message, { key, dsaEncoding: "ieee-p1363" });
    const s = BigInt(`0x${raw.toString("hex", bytes)}`);
    const [low, high] = s <= order / 2n ? [s, order - s] : [order - s, s];
    return [low, high].map((one) => encoded(raw.subarray(0, bytes), one, bytes));
  }

  for (const [curve, bytes, order] of [
    ["P-224", 28, 0xffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3dn],
    ["P-256", 32, 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n],
    ["P-384", 48, 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n],
    [
      "P-521",
      66,
      0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
    ],
  ] as const)
    it(`counts on ${curve} with the lower S, and not with the higher, over another message or by another key`, () => {
      const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: curve });
      for (let round = 0; round < 4; round += 1) {
        const [low = Buffer.alloc(0), high = Buffer.alloc(0)] = both(privateKey, bytes, order);
        assert.equal(isSignedToFabric(message, low, publicKey), true);
        assert.equal(isSignedToFabric(message, Buffer.concat([low, Buffer.of(1)]), publicKey), true);
        assert.equal(isSignedToFabric(message, high, publicKey), false);
        assert.equal(isSignedToFabric(Buffer.from("another"), low, publicKey), false);
        const other = generateKeyPairSync("ec", { namedCurve: curve }).publicKey;
        assert.equal(isSignedToFabric(message, low, other), false);
      }
    });

  it("is of no other kind of key", () => {
    for (const { publicKey } of [
      generateKeyPairSync("ec", { namedCurve: "secp256k1" }),
      generateKeyPairSync("rsa", { modulusLength: 2048 }),
      generateKeyPairSync("ed25519"),
    ]) {
      assert.equal(isKeyOfFabric(publicKey), false);
      assert.equal(isSignedToFabric(message, Buffer.alloc(72), publicKey), false);
    }
  });

  it("with bytes after it still does not count for ourselves", () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const [low = Buffer.alloc(0)] = both(
      privateKey,
      32,
      0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
    );
    assert.equal(isSignedLowS(message, low, publicKey), true);
    assert.equal(isSignedLowS(message, Buffer.concat([low, Buffer.of(1)]), publicKey), false);
  });
});
