import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, it } from "node:test";
import { generateKeyPair, publicKeyOf } from "../../../src/crypto/curve.ts";
import type { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { bytesOf, numberOf, Sm2Point } from "../../../src/crypto/sm2-curve.ts";
import {
  encryptWithEphemeralKey,
  maxSm2PlaintextBytes,
  sm2Decrypt,
  sm2Encrypt,
} from "../../../src/crypto/sm2-encryption.ts";
import { scaled } from "../../run-settings.ts";
import { withBitFlipped } from "./load-vectors.ts";

const { scalar, publicKey } = generateKeyPair("sm2");
const refused = { code: "SM2_REFUSED" };

/** Opens `raw` and returns the plaintext, for comparison. */
function opened(key: SecretBuffer, ciphertext: Uint8Array, form?: "raw" | "asn1"): Buffer {
  using plaintext = sm2Decrypt(key, ciphertext, form);
  return plaintext.expose((bytes) => Buffer.from(bytes));
}

/** GM/T 0003.4 written out with noble alone, without checks and blinding. */
function obviousStream(k: bigint, point: Uint8Array, byteLength: number): { stream: Buffer; x: Buffer; y: Buffer } {
  const shared = Sm2Point.fromBytes(point).multiply(k).toAffine();
  const [x, y] = [bytesOf(shared.x), bytesOf(shared.y)];
  const blocks: Buffer[] = [];
  for (let counter = 1; blocks.length * 32 < byteLength; counter++)
    blocks.push(hash("sm3", Buffer.concat([x, y, Buffer.of(0, 0, counter >> 8, counter & 255)]), "buffer"));
  return { stream: Buffer.concat(blocks).subarray(0, byteLength), x, y };
}

describe("SM2 encryption", () => {
  it("opens what the formula encrypts, and the formula opens what it encrypts", () => {
    for (const length of [1, 16, 31, 32, 33, 64, 1000]) {
      const plaintext = Buffer.alloc(length, "key ");
      using ephemeral = generateKeyPair("sm2").scalar;
      const k = ephemeral.expose(numberOf);
      const { stream, x, y } = obviousStream(k, publicKey, length);
      const c2 = stream.map((byte, i) => byte ^ (plaintext[i] ?? 0));
      const c3 = hash("sm3", Buffer.concat([x, plaintext, y]), "buffer");
      assert.deepEqual(opened(scalar, Buffer.concat([Sm2Point.BASE.multiply(k).toBytes(false), c3, c2])), plaintext);

      const raw = sm2Encrypt(publicKey, plaintext);
      assert.equal(raw.length, 97 + length);
      const back = obviousStream(scalar.expose(numberOf), raw.subarray(0, 65), length);
      assert.deepEqual(Buffer.from(back.stream.map((byte, i) => byte ^ (raw[97 + i] ?? 0))), plaintext);
    }
  });

  it("round-trips in both forms and never gives the same ciphertext twice", () => {
    const plaintext = Buffer.alloc(16, 7);
    for (const form of ["raw", "asn1"] as const) {
      const ciphertext = sm2Encrypt(publicKey, plaintext, form);
      assert.deepEqual(opened(scalar, ciphertext, form), plaintext);
      assert.notDeepEqual(sm2Encrypt(publicKey, plaintext, form), ciphertext);
      const otherForm = form === "raw" ? "asn1" : "raw";
      assert.throws(() => sm2Decrypt(scalar, ciphertext, otherForm), refused);
    }
  });

  it("refuses a change to any single bit, in both forms, with one error", () => {
    const stride = scaled(20) === 20 ? 1 : 7;
    for (const form of ["raw", "asn1"] as const) {
      const ciphertext = sm2Encrypt(publicKey, Buffer.alloc(16, 7), form);
      for (let bit = 0; bit < ciphertext.length * 8; bit += stride)
        assert.throws(() => sm2Decrypt(scalar, withBitFlipped(ciphertext, bit), form), refused, `${form} bit ${bit}`);
    }
  });

  it("refuses every truncation, added bytes and another key", () => {
    const other = generateKeyPair("sm2");
    for (const form of ["raw", "asn1"] as const) {
      const ciphertext = sm2Encrypt(publicKey, Buffer.alloc(16, 7), form);
      for (let length = 0; length < ciphertext.length; length++)
        assert.throws(() => sm2Decrypt(scalar, ciphertext.subarray(0, length), form), refused, `${form} ${length}`);
      assert.throws(() => sm2Decrypt(scalar, Buffer.concat([ciphertext, Buffer.of(0)]), form), refused);
      assert.throws(() => sm2Decrypt(other.scalar, ciphertext, form), refused);
    }
  });

  it("refuses a point of another curve, which would give the key away bit by bit", () => {
    const foreign = generateKeyPair("p256").publicKey;
    const ciphertext = sm2Encrypt(publicKey, Buffer.alloc(16, 7));
    assert.throws(() => sm2Decrypt(scalar, Buffer.concat([foreign, ciphertext.subarray(65)])), refused);
    assert.throws(() => sm2Encrypt(foreign, Buffer.alloc(16)), { code: "KEY_FORMAT_INVALID" });
  });

  it("refuses a compressed or hybrid point and coordinates beyond the field", () => {
    const ciphertext = sm2Encrypt(publicKey, Buffer.alloc(16, 7));
    for (const prefix of [0, 2, 3, 6, 7]) {
      const changed = Buffer.from(ciphertext);
      changed.writeUInt8(prefix, 0);
      assert.throws(() => sm2Decrypt(scalar, changed), refused);
    }
    assert.throws(() => sm2Decrypt(scalar, Buffer.concat([Buffer.of(4), Buffer.alloc(112, 0xff)])), refused);
  });

  it("takes another ephemeral key when the key stream is all zero, and refuses such a ciphertext", () => {
    // A one-byte key stream is zero for one ephemeral key in 256: search for one, then show both halves.
    for (let attempt = 0; ; attempt++) {
      assert.ok(attempt < 20_000, "no zero key stream found");
      using k = generateKeyPair("sm2").scalar;
      const { stream, x, y } = obviousStream(k.expose(numberOf), publicKey, 1);
      if (stream[0] !== 0) continue;
      const pair = { scalar: k, publicKey: publicKeyOf("sm2", k) };
      assert.equal(encryptWithEphemeralKey(publicKey, pair, Buffer.of(9)), undefined);
      const c1 = Sm2Point.BASE.multiply(k.expose(numberOf)).toBytes(false);
      const c3 = hash("sm3", Buffer.concat([x, Buffer.of(9), y]), "buffer");
      assert.throws(() => sm2Decrypt(scalar, Buffer.concat([c1, c3, Buffer.of(9)])), refused);
      return;
    }
  });

  it("encrypts 1 to 65536 bytes", () => {
    const largest = Buffer.alloc(maxSm2PlaintextBytes, 1);
    assert.deepEqual(opened(scalar, sm2Encrypt(publicKey, largest)), largest);
    assert.throws(() => sm2Encrypt(publicKey, Buffer.alloc(0)), RangeError);
    assert.throws(() => sm2Encrypt(publicKey, Buffer.alloc(maxSm2PlaintextBytes + 1)), RangeError);
    assert.throws(() => sm2Decrypt(scalar, Buffer.alloc(97 + maxSm2PlaintextBytes + 1, 4)), refused);
  });
});
