import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { checkSm4Provider } from "../../../../src/crypto/sm4/known-answers.ts";
import { opensslSm4 } from "../../../../src/crypto/sm4/openssl.ts";
import { loadVectors } from "../load-vectors.ts";

interface CipherVector {
  readonly id: string;
  readonly mode?: string;
  readonly key: string;
  readonly iv: string;
  readonly aad: string;
  readonly pt: string;
  readonly ct: string;
  readonly tag: string;
}

const hex = (text: string) => Buffer.from(text, "hex");
const newKey = () => {
  using secret = SecretBuffer.random(16);
  return opensslSm4().expand(secret);
};
const none = Buffer.alloc(0);

describe("SM4 by node:crypto", () => {
  it("passes the check that is made before its first use", () => checkSm4Provider(opensslSm4()));

  it("gives the published GCM ciphertexts and tags", () => {
    const vectors = Object.values(loadVectors<Record<string, unknown>>("sm.json"))
      .filter((group) => Array.isArray(group))
      .flatMap((group: CipherVector[]) => group.filter(({ mode }) => mode === "sm4-gcm"));
    assert.ok(vectors.length > 0);
    for (const { id, key: keyHex, iv, aad, pt, ct, tag: tagHex } of vectors) {
      using secret = SecretBuffer.take(hex(keyHex));
      using key = opensslSm4().expand(secret);
      const ciphertext = hex(pt);
      const tag = Buffer.alloc(16);
      key.gcmSeal(hex(iv), hex(aad), ciphertext, ciphertext, tag);
      assert.equal(ciphertext.toString("hex"), ct, id);
      assert.equal(tag.toString("hex"), tagHex, id);
      assert.equal(key.gcmOpen(hex(iv), hex(aad), ciphertext, tag, ciphertext), true);
      assert.equal(ciphertext.toString("hex"), pt, id);
    }
  });

  it("refuses keys that are not 16 bytes", () => {
    for (const byteLength of [0, 1, 15, 17, 24, 32]) {
      using secret = SecretBuffer.random(byteLength);
      assert.throws(() => opensslSm4().expand(secret), RangeError);
    }
  });

  it("refuses counters, nonces, tags and outputs of another length", () => {
    using key = newKey();
    const of = (byteLength: number) => Buffer.alloc(byteLength);
    for (const length of [0, 12, 15, 17]) assert.throws(() => key.ctr(of(length), of(5), of(5)), RangeError);
    for (const length of [0, 4, 6]) assert.throws(() => key.ctr(of(16), of(5), of(length)), RangeError);
    for (const length of [0, 11, 13, 16]) {
      assert.throws(() => key.gcmSeal(of(length), none, of(5), of(5), of(16)), RangeError);
      assert.throws(() => key.gcmOpen(of(length), none, of(5), of(16), of(5)), RangeError);
    }
    for (const length of [0, 4, 12, 15, 17]) {
      assert.throws(() => key.gcmSeal(of(12), none, of(5), of(5), of(length)), RangeError);
      assert.throws(() => key.gcmOpen(of(12), none, of(5), of(length), of(5)), RangeError);
    }
    for (const length of [0, 4, 6]) {
      assert.throws(() => key.gcmSeal(of(12), none, of(5), of(length), of(16)), RangeError);
      assert.throws(() => key.gcmOpen(of(12), none, of(5), of(16), of(length)), RangeError);
    }
  });

  it("refuses shared memory, and an output that overlaps its input in part", () => {
    using key = newKey();
    const of = (byteLength: number) => Buffer.alloc(byteLength);
    const shared = new Uint8Array(new SharedArrayBuffer(16));
    const memory = of(100);
    const [front, back] = [memory.subarray(0, 60), memory.subarray(40)];
    assert.throws(() => key.ctr(of(16), shared, of(16)), TypeError);
    assert.throws(() => key.ctr(of(16), of(16), shared), TypeError);
    assert.throws(() => key.ctr(shared, of(16), of(16)), TypeError);
    for (const operation of ["gcmSeal", "gcmOpen"] as const) {
      assert.throws(() => key[operation](of(12), none, shared, of(16), of(16)), TypeError);
      assert.throws(() => key[operation](of(12), none, of(16), shared, of(16)), TypeError);
      assert.throws(() => key[operation](of(12), shared, of(16), of(16), of(16)), TypeError);
      assert.throws(() => key[operation](of(12), none, of(16), of(16), shared), TypeError);
    }
    for (const [input, output] of [
      [front, back],
      [back, front],
    ] as const) {
      assert.throws(() => key.ctr(of(16), input, output), RangeError);
      assert.throws(() => key.gcmSeal(of(12), none, input, output, of(16)), RangeError);
      assert.throws(() => key.gcmOpen(of(12), none, input, output, of(16)), RangeError);
    }
    assert.deepEqual(memory, of(100));
  });

  it("refuses a forged tag and zeroes the plaintext, also in place", () => {
    using key = newKey();
    const message = Buffer.alloc(100, 7);
    const tag = Buffer.alloc(16);
    key.gcmSeal(Buffer.alloc(12), none, message, message, tag);
    tag.writeUInt8(tag.readUInt8(15) ^ 1, 15);
    assert.equal(key.gcmOpen(Buffer.alloc(12), none, message, tag, message), false);
    assert.deepEqual(message, Buffer.alloc(100));
  });

  it("does nothing with a key that was disposed of, or made from a wiped one", () => {
    const key = newKey();
    key[Symbol.dispose]();
    key[Symbol.dispose]();
    assert.throws(() => key.ctr(Buffer.alloc(16), none, none), /wiped/);
    assert.throws(() => key.gcmSeal(Buffer.alloc(12), none, none, none, Buffer.alloc(16)), /wiped/);
    assert.throws(() => key.gcmOpen(Buffer.alloc(12), none, none, Buffer.alloc(16), none), /wiped/);
    const secret = SecretBuffer.random(16);
    secret[Symbol.dispose]();
    assert.throws(() => opensslSm4().expand(secret), /wiped/);
  });
});
