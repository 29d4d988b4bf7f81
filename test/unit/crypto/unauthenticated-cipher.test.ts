import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { aeadOpen, aeadSeal, suites } from "../../../src/crypto/suite.ts";
import {
  cbcDecryptUnauthenticated,
  cbcEncryptUnauthenticated,
  ctrUnauthenticated,
} from "../../../src/crypto/unauthenticated-cipher.ts";
import { withBitFlipped } from "./load-vectors.ts";

const iv = Buffer.alloc(16, 1);
const key32 = SecretBuffer.copyOf(Buffer.alloc(32, 2));
const key16 = SecretBuffer.copyOf(Buffer.alloc(16, 2));

describe("cipher modes", () => {
  it("AES-256-CBC gives NIST SP 800-38A F.2.5", () => {
    const key = Buffer.from("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "hex");
    using secret = SecretBuffer.take(key);
    const counter = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");
    const plaintext = Buffer.from("6bc1bee22e409f96e93d7e117393172a", "hex");
    const ciphertext = cbcEncryptUnauthenticated("aes-256-cbc", secret, counter, plaintext);
    assert.equal(ciphertext.subarray(0, 16).toString("hex"), "f58c4c04d6e5f1ba779eabfb5f7bfbd6");
  });

  it("AES-256-CTR gives NIST SP 800-38A F.5.5, and undoes itself", () => {
    const key = Buffer.from("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "hex");
    using secret = SecretBuffer.take(key);
    const counter = Buffer.from("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "hex");
    const plaintext = Buffer.from("6bc1bee22e409f96e93d7e117393172a", "hex");
    const ciphertext = ctrUnauthenticated("aes-256-ctr", secret, counter, plaintext);
    assert.equal(ciphertext.toString("hex"), "601ec313775789a5b7a7f504bbf3d228");
    assert.deepEqual(ctrUnauthenticated("aes-256-ctr", secret, counter, ciphertext), plaintext);
  });

  it("round-trip every length up to three blocks", () => {
    for (let length = 0; length <= 48; length++)
      for (const [cipher, key] of [
        ["aes-256-cbc", key32],
        ["sm4-cbc", key16],
      ] as const) {
        const plaintext = Buffer.alloc(length, length);
        const ciphertext = cbcEncryptUnauthenticated(cipher, key, iv, plaintext);
        assert.equal(ciphertext.length, (Math.floor(length / 16) + 1) * 16);
        assert.ok(cbcDecryptUnauthenticated(cipher, key, iv, ciphertext).equals(plaintext));
      }
  });

  it("refuse keys, IVs and ciphertexts of another length", () => {
    const data = Buffer.alloc(16);
    for (const key of [key16, SecretBuffer.random(31), SecretBuffer.random(0)])
      assert.throws(() => cbcEncryptUnauthenticated("aes-256-cbc", key, iv, data), RangeError);
    assert.throws(() => cbcDecryptUnauthenticated("sm4-cbc", key32, iv, data), RangeError);
    assert.throws(() => ctrUnauthenticated("sm4-ctr", key32, iv, data), RangeError);
    assert.throws(() => ctrUnauthenticated("sm4-ctr", key16, iv.subarray(1), data), RangeError);
    assert.throws(() => cbcEncryptUnauthenticated("sm4-cbc", key16, Buffer.alloc(12), data), RangeError);
    for (const length of [0, 1, 15, 17])
      assert.throws(() => cbcDecryptUnauthenticated("sm4-cbc", key16, iv, Buffer.alloc(length)), {
        code: "LEGACY_REFUSED",
      });
  });

  it("GCM of both suites opens only what was sealed: nonce, associated data, key and every bit", () => {
    for (const suite of [suites.intl, suites.sm]) {
      const key = Buffer.alloc(suite.keyBytes, 3);
      const nonce = Buffer.alloc(12, 4);
      const aad = Buffer.from("aad");
      const sealed = aeadSeal(suite, key, nonce, aad, Buffer.from("text"));
      assert.ok(aeadOpen(suite, key, nonce, aad, sealed)?.equals(Buffer.from("text")));
      for (let bit = 0; bit < sealed.length * 8; bit++)
        assert.equal(aeadOpen(suite, key, nonce, aad, withBitFlipped(sealed, bit)), undefined);
      for (let length = 0; length < sealed.length; length++)
        assert.equal(aeadOpen(suite, key, nonce, aad, sealed.subarray(0, length)), undefined);
      assert.equal(aeadOpen(suite, key, Buffer.alloc(12, 5), aad, sealed), undefined);
      assert.equal(aeadOpen(suite, key, nonce, Buffer.from("add"), sealed), undefined);
      assert.equal(aeadOpen(suite, Buffer.alloc(suite.keyBytes, 6), nonce, aad, sealed), undefined);
    }
  });
});
