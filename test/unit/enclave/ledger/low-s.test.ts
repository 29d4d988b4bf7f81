import assert from "node:assert/strict";
import { generateKeyPairSync, sign, verify } from "node:crypto";
import { describe, it } from "node:test";
import { p256 } from "@noble/curves/nist.js";
import { der, derTags, derUnsigned } from "../../../../src/crypto/der.ts";
import { isLowS, isSignedLowS, signLowS } from "../../../../src/enclave/ledger/low-s.ts";

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const message = Buffer.from("what is signed");
const order = p256.Point.CURVE().n;

/** The same signature's two numbers, in DER. */
function encoded(r: bigint, s: bigint): Buffer {
  const bytes = (value: bigint) => derUnsigned(Buffer.from(value.toString(16).padStart(64, "0"), "hex"));
  return der(derTags.sequence, bytes(r), bytes(s));
}

function numbersOf(message: Buffer): { r: bigint; s: bigint } {
  const raw = sign("sha256", message, { key: privateKey, dsaEncoding: "ieee-p1363" });
  return { r: BigInt(`0x${raw.toString("hex", 0, 32)}`), s: BigInt(`0x${raw.toString("hex", 32)}`) };
}

describe("a signature with low S", () => {
  it("is made low whatever comes out of the signing, and OpenSSL verifies it", () => {
    for (let i = 0; i < 20; i++) {
      const signature = signLowS(message, privateKey);
      assert.ok(isSignedLowS(message, signature, publicKey));
      assert.ok(verify("sha256", message, publicKey, signature));
    }
  });

  it("is low up to half of the order, and not one above", () => {
    const { r } = numbersOf(message);
    const halfOrder = order / 2n;
    const isLow = (s: bigint) => isLowS(encoded(r, s));
    assert.deepEqual([1n, halfOrder, halfOrder + 1n, order - 1n].map(isLow), [true, true, false, false]);
  });

  it("is refused with the other S, which is as right a signature", () => {
    const { r, s } = numbersOf(message);
    const [low, high] = s <= order / 2n ? [s, order - s] : [order - s, s];
    assert.ok(verify("sha256", message, publicKey, encoded(r, high)));
    assert.equal(isSignedLowS(message, encoded(r, high), publicKey), false);
    assert.equal(isSignedLowS(message, encoded(r, low), publicKey), true);
  });

  it("is refused with any of its bits turned, over another message, or by another key", () => {
    const signature = signLowS(message, privateKey);
    for (let bit = 0; bit < signature.length * 8; bit++) {
      const turned = Buffer.from(signature);
      turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.equal(isSignedLowS(message, turned, publicKey), false, `bit ${bit}`);
    }
    assert.equal(isSignedLowS(Buffer.from("another"), signature, publicKey), false);
    const other = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
    assert.equal(isSignedLowS(message, signature, other), false);
  });

  it("is refused where it is not DER, has something after it, or is too long", () => {
    const signature = signLowS(message, privateKey);
    const raw = sign("sha256", message, { key: privateKey, dsaEncoding: "ieee-p1363" });
    for (const wrong of [
      Buffer.alloc(0),
      raw,
      Buffer.concat([signature, Buffer.of(0)]),
      signature.subarray(0, -1),
      Buffer.concat([signature, Buffer.alloc(64)]),
    ])
      assert.equal(isSignedLowS(message, wrong, publicKey), false);
  });
});
