import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, it } from "node:test";
import { generateKeyPair } from "../../../src/crypto/curve.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import {
  sm2Digest,
  sm2Sign,
  sm2SignatureToDer,
  sm2SignatureToRaw,
  sm2SigningKey,
  sm2Verify,
  sm2Za,
} from "../../../src/crypto/sm2.ts";
import { bytesOf, numberOf, Sm2Point } from "../../../src/crypto/sm2-curve.ts";
import { sm2SignDigest, sm2VerifyDigest } from "../../../src/crypto/sm2-digest.ts";
import { withBitFlipped } from "./load-vectors.ts";

const { scalar } = generateKeyPair("sm2");
const key = sm2SigningKey(scalar);
const message = Buffer.from("block 17");

/** GM/T 0003.2 written out with noble alone: what the product's OpenSSL signatures are checked against. */
function obviousSign(secret: SecretBuffer, publicKey: Buffer, text: Buffer): Buffer {
  const field = Sm2Point.Fn;
  using ephemeral = generateKeyPair("sm2").scalar;
  const k = ephemeral.expose(numberOf);
  const d = secret.expose(numberOf);
  const r = field.create(numberOf(sm2Digest(publicKey, text)) + Sm2Point.BASE.multiply(k).x);
  const s = field.mul(field.inv(field.create(1n + d)), field.create(k - r * d));
  return Buffer.concat([bytesOf(r), bytesOf(s)]);
}

describe("SM2 signatures", () => {
  it("are accepted by the formula, and accept the formula's", () => {
    for (let i = 0; i < 8; i++) {
      const text = Buffer.from(`message ${i}`);
      assert.ok(sm2VerifyDigest(key.publicKey, sm2Digest(key.publicKey, text), sm2Sign(key, text)));
      assert.ok(sm2Verify(key.publicKey, text, obviousSign(scalar, key.publicKey, text)));
      const digest = sm2Digest(key.publicKey, text);
      assert.ok(sm2Verify(key.publicKey, text, sm2SignDigest(scalar, digest)));
    }
  });

  it("hash the user id into ZA, its length in bits first", () => {
    const id = "ALICE123@YAHOO.COM";
    assert.notDeepEqual(sm2Za(key.publicKey, id), sm2Za(key.publicKey));
    assert.deepEqual(sm2Za(key.publicKey, id), sm2Za(key.publicKey, Buffer.from(id)));
    const signature = sm2Sign(key, message, { userId: id });
    assert.ok(sm2Verify(key.publicKey, message, signature, { userId: id }));
    assert.ok(!sm2Verify(key.publicKey, message, signature));
    assert.ok(!sm2Verify(key.publicKey, message, signature, { userId: "" }));
    assert.throws(() => sm2Za(key.publicKey, Buffer.alloc(8192)), RangeError);
    assert.equal(sm2Za(key.publicKey, Buffer.alloc(8191)).length, 32);
  });

  it("refuse another message, another key and every changed bit", () => {
    const other = generateKeyPair("sm2");
    const signature = sm2Sign(key, message);
    assert.ok(!sm2Verify(key.publicKey, Buffer.from("block 18"), signature));
    assert.ok(!sm2Verify(other.publicKey, message, signature));
    for (let bit = 0; bit < signature.length * 8; bit++)
      assert.ok(!sm2Verify(key.publicKey, message, withBitFlipped(signature, bit)), `bit ${bit}`);
  });

  it("refuse every length but 64 bytes, and every cut or lengthened DER", () => {
    const raw = sm2Sign(key, message);
    for (let length = 0; length < raw.length; length++)
      assert.ok(!sm2Verify(key.publicKey, message, raw.subarray(0, length)));
    assert.ok(!sm2Verify(key.publicKey, message, Buffer.concat([raw, Buffer.of(0)])));
    const inDer = sm2Sign(key, message, { form: "der" });
    const asDer = { form: "der" } as const;
    assert.ok(sm2Verify(key.publicKey, message, inDer, asDer));
    for (let length = 0; length < inDer.length; length++)
      assert.ok(!sm2Verify(key.publicKey, message, inDer.subarray(0, length), asDer));
    assert.ok(!sm2Verify(key.publicKey, message, Buffer.concat([inDer, Buffer.of(0)]), asDer));
    assert.ok(!sm2Verify(key.publicKey, message, raw, asDer), "one form does not pass as the other");
  });

  it("convert between the forms, keeping leading zeros in one and dropping them in the other", () => {
    const raw = Buffer.alloc(64);
    raw.writeUInt8(0x80, 1);
    raw.writeUInt8(1, 63);
    const inDer = sm2SignatureToDer(raw);
    assert.equal(inDer.subarray(0, 5).toString("hex"), "3025022000");
    assert.deepEqual(sm2SignatureToRaw(inDer), raw);
  });

  it("refuse DER that is not the shortest form, negative, too long or of other types", () => {
    const breaches = {
      "leading zero": "300702020001020101",
      "negative r": "3006020180020101",
      "negative s": "3006020101020180",
      "long length": "308106020101020101",
      "s is an OCTET STRING": "3006020101040101",
      "a SET": "3106020101020101",
      "r alone": "3003020101",
      "33-byte r": `30260221${"01".repeat(33)}020101`,
      "a third number": "3009020101020101020101",
      nothing: "",
    };
    for (const [name, hex] of Object.entries(breaches))
      assert.throws(() => sm2SignatureToRaw(Buffer.from(hex, "hex")), { code: "SM2_REFUSED" }, name);
    assert.throws(() => sm2SignatureToDer(Buffer.alloc(63)), { code: "SM2_REFUSED" });
  });

  it("need a public key on the curve and a digest of 32 bytes", () => {
    const signature = sm2Sign(key, message);
    const offCurve = withBitFlipped(key.publicKey, 64 * 8);
    assert.throws(() => sm2Verify(offCurve, message, signature), { code: "KEY_FORMAT_INVALID" });
    assert.throws(() => sm2Verify(key.publicKey.subarray(1), message, signature), { code: "KEY_FORMAT_INVALID" });
    assert.throws(() => sm2SignDigest(scalar, message), RangeError);
    assert.throws(() => sm2VerifyDigest(key.publicKey, message, signature), RangeError);
    const digest = hash("sm3", "", "buffer");
    assert.equal(sm2VerifyDigest(key.publicKey, digest, signature.subarray(1)), false);
  });

  it("refuse a scalar of 0, n - 1 or more, or another length", () => {
    const outOfRange = [
      Buffer.alloc(32),
      Buffer.from("fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54122", "hex"),
      Buffer.alloc(32, 0xff),
      Buffer.alloc(31, 1),
      Buffer.alloc(0),
    ];
    for (const bytes of outOfRange) {
      using bad = SecretBuffer.copyOf(bytes);
      assert.throws(() => sm2SigningKey(bad), { code: "KEY_FORMAT_INVALID" });
      assert.throws(() => sm2SignDigest(bad, Buffer.alloc(32)), { code: "KEY_FORMAT_INVALID" });
    }
    using largest = SecretBuffer.copyOf(
      Buffer.from("fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54121", "hex"),
    );
    const edge = sm2SigningKey(largest);
    assert.ok(sm2Verify(edge.publicKey, message, sm2Sign(edge, message)));
  });
});
