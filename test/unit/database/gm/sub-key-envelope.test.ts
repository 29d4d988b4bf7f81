import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { der, derTags, derUnsigned } from "../../../../src/crypto/der.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { Sm2Recipient, sm2Decrypt, sm2Encrypt } from "../../../../src/crypto/sm2-encryption.ts";
import { isEnvelope, softOpener } from "../../../../src/database/gm/sub-key-envelope.ts";
import { scaled } from "../../../run-settings.ts";
import { masterKey } from "./keys-in-tests.ts";

const { scalar, publicKey } = masterKey;
const subKey = Buffer.from("0123456789abcdeffedcba9876543210", "hex");

function envelopeOf(bytes: Buffer = subKey): Buffer {
  return sm2Encrypt(publicKey, bytes, "asn1");
}

/** GM/T 0009 DER of parts of one's own making. */
function envelopeOfParts(x: Buffer, y: Buffer, c3: Buffer, c2: Buffer): Buffer {
  return der(
    derTags.sequence,
    derUnsigned(x),
    derUnsigned(y),
    der(derTags.octetString, c3),
    der(derTags.octetString, c2),
  );
}

const [x, y] = [publicKey.subarray(1, 33), publicKey.subarray(33)];
const c3 = Buffer.alloc(32, 1);

describe("an SM2 recipient", () => {
  it("encrypts what the private key opens, in both forms, never twice the same", () => {
    const recipient = new Sm2Recipient(publicKey);
    for (const form of ["raw", "asn1"] as const)
      for (let round = 0; round < scaled(100); round++) {
        const ciphertext = recipient.encrypt(subKey, form);
        using opened = sm2Decrypt(scalar, ciphertext, form);
        assert.equal(opened.equals(subKey), true);
        assert.notDeepEqual(recipient.encrypt(subKey, form), ciphertext);
      }
  });

  it("refuses a point that is not on the curve, and a plaintext of no length", () => {
    const off = Buffer.from(publicKey);
    off.writeUInt8(off.readUInt8(64) ^ 1, 64);
    assert.throws(() => new Sm2Recipient(off), { code: "KEY_FORMAT_INVALID" });
    assert.throws(() => new Sm2Recipient(publicKey).encrypt(Buffer.alloc(0)), RangeError);
  });
});

describe("an opener with the private key in memory", () => {
  it("opens envelopes, also when the scalar it was made of is gone", async () => {
    const mine = generateKeyPair("sm2");
    await using opener = await softOpener(mine.scalar, mine.publicKey);
    mine.scalar[Symbol.dispose]();
    for (const length of [16, 32, 64]) {
      using opened = await opener.open(sm2Encrypt(mine.publicKey, Buffer.alloc(length, 9), "asn1"));
      assert.equal(opened?.equals(Buffer.alloc(length, 9)), true);
    }
  });

  it("opens no envelope to another key", async () => {
    await using opener = await softOpener(scalar, publicKey);
    assert.equal(await opener.open(sm2Encrypt(generateKeyPair("sm2").publicKey, subKey, "asn1")), undefined);
  });

  it("opens no envelope with a bit changed, or cut, or with a byte after it", async () => {
    await using opener = await softOpener(scalar, publicKey);
    const envelope = envelopeOf();
    for (let at = 0; at < envelope.length; at++) {
      const altered = Buffer.from(envelope);
      altered.writeUInt8(altered.readUInt8(at) ^ (1 << (at % 8)), at);
      assert.equal(await opener.open(altered), undefined, `byte ${at}`);
      assert.equal(await opener.open(envelope.subarray(0, at)), undefined, `cut at ${at}`);
    }
    assert.equal(await opener.open(Buffer.concat([envelope, Buffer.of(0)])), undefined);
  });

  it("opens no raw ciphertext, whose order of parts has been another in drafts", async () => {
    await using opener = await softOpener(scalar, publicKey);
    assert.equal(await opener.open(sm2Encrypt(publicKey, subKey, "raw")), undefined);
  });

  it("opens nothing after it was disposed of", async () => {
    const opener = await softOpener(scalar, publicKey);
    await opener[Symbol.asyncDispose]();
    await assert.rejects(opener.open(envelopeOf()), /after it was wiped/);
  });

  it("refuses a scalar out of range", async () => {
    using zero = SecretBuffer.take(Buffer.alloc(32));
    await assert.rejects(softOpener(zero, publicKey), { code: "KEY_FORMAT_INVALID" });
  });
});

describe("the form of an envelope", () => {
  it("is that of a ciphertext of 16 to 64 bytes", () => {
    for (const length of [16, 17, 32, 64]) assert.equal(isEnvelope(envelopeOf(Buffer.alloc(length, 1))), true);
    assert.equal(isEnvelope(envelopeOfParts(x, y, c3, subKey)), true);
  });

  for (const [what, bytes] of [
    ["nothing", Buffer.alloc(0)],
    ["a shorter sub-key", envelopeOfParts(x, y, c3, subKey.subarray(1))],
    ["a longer sub-key", envelopeOfParts(x, y, c3, Buffer.alloc(65))],
    ["a shorter C3", envelopeOfParts(x, y, c3.subarray(1), subKey)],
    ["a point off the curve", envelopeOfParts(y, x, c3, subKey)],
    ["a coordinate of 33 bytes", envelopeOfParts(Buffer.concat([Buffer.of(1), x]), y, c3, subKey)],
    ["the point at zero", envelopeOfParts(Buffer.of(0), Buffer.of(0), c3, subKey)],
    ["a fifth part", der(derTags.sequence, envelopeOfParts(x, y, c3, subKey).subarray(2), Buffer.of(5, 0))],
    ["an indefinite length", Buffer.concat([Buffer.of(0x30, 0x80), envelopeOfParts(x, y, c3, subKey).subarray(2)])],
  ] as const)
    it(`is not that of ${what}`, () => assert.equal(isEnvelope(bytes), false));
});
