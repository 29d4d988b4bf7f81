import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { der, derTags, derUnsigned } from "../../../../src/crypto/der.ts";
import { rawCiphertextOf } from "../../../../src/devices/sdf/ciphertext.ts";

function ciphertextOf(x: Uint8Array, y: Uint8Array): Buffer {
  const [c3, c2] = [der(derTags.octetString, randomBytes(32)), der(derTags.octetString, randomBytes(16))];
  return der(derTags.sequence, derUnsigned(x), derUnsigned(y), c3, c2);
}

describe("an SM2 ciphertext for a card", () => {
  const { publicKey } = generateKeyPair("sm2");
  const [x, y] = [publicKey.subarray(1, 33), publicKey.subarray(33)];

  it("comes with its point", () => {
    assert.deepEqual(rawCiphertextOf(ciphertextOf(x, y))?.subarray(0, 65), publicKey);
  });

  it("is none with a point that is not on the curve: the card would tell of its private key", () => {
    const other = Buffer.from(y);
    other[31] = (other[31] ?? 0) ^ 1;
    assert.equal(rawCiphertextOf(ciphertextOf(x, other)), undefined);
    assert.equal(rawCiphertextOf(ciphertextOf(Buffer.of(1), Buffer.of(1))), undefined);
    assert.equal(rawCiphertextOf(ciphertextOf(Buffer.alloc(32, 0xff), y)), undefined);
    assert.equal(rawCiphertextOf(ciphertextOf(Buffer.of(0), Buffer.of(0))), undefined);
  });
});
