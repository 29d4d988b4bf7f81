import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../../src/crypto/secret-buffer.ts";
import { opensslSm4 } from "../../../../../src/crypto/sm4/openssl.ts";
import { suites } from "../../../../../src/crypto/suite.ts";
import {
  type BlockCiphers,
  blockCiphers,
  chooseBlockCiphers,
} from "../../../../../src/volume/sealfs/cipher/block-ciphers.ts";
import { loadOpensslGcm } from "../../../../../src/volume/sealfs/cipher/openssl-gcm.ts";

const openssl = await loadOpensslGcm();
const keyBytes = randomBytes(32);

const ways: readonly (readonly [string, "intl" | "sm", BlockCiphers])[] = [
  ["AES-256-GCM by node:crypto", "intl", blockCiphers()],
  ["AES-256-GCM by OpenSSL's own functions", "intl", blockCiphers(undefined, openssl)],
  ["AES-256-GCM as chosen", "intl", await chooseBlockCiphers(suites.intl)],
  ["SM4-GCM by node:crypto", "sm", blockCiphers()],
  ["SM4-GCM by a provider", "sm", blockCiphers(opensslSm4())],
  ["SM4-GCM as chosen", "sm", await chooseBlockCiphers(suites.sm)],
];

it("OpenSSL's own functions are reached in the Node that runs here", () => {
  assert.notEqual(openssl, undefined);
});

for (const [name, suiteName, ciphers] of ways)
  describe(`a block cipher, ${name}`, () => {
    const suite = suites[suiteName];
    const make = (fill = keyBytes) => ciphers.make(suite, SecretBuffer.copyOf(fill.subarray(0, suite.keyBytes)));
    const associatedData = Buffer.from("a block's place");

    it("opens what it sealed, of any length, and what every other way sealed", () => {
      using cipher = make();
      using other = blockCiphers().make(suite, SecretBuffer.copyOf(keyBytes.subarray(0, suite.keyBytes)));
      for (const length of [0, 1, 15, 16, 17, 4095, 4096, 65536]) {
        const plaintext = randomBytes(length);
        for (const [sealer, opener] of [
          [cipher, cipher],
          [cipher, other],
          [other, cipher],
        ] as const) {
          const sealed = Buffer.alloc(length + 28);
          const opened = Buffer.alloc(length, 1);
          sealer.seal(associatedData, plaintext, sealed);
          assert.ok(opener.open(associatedData, sealed, opened));
          assert.deepEqual(opened, plaintext);
        }
      }
    });

    it("works without associated data, and with much of it", () => {
      using cipher = make();
      for (const length of [0, 1, 100_000]) {
        const data = Buffer.alloc(length, 3);
        const [sealed, opened] = [Buffer.alloc(33), Buffer.alloc(5)];
        cipher.seal(data, Buffer.from("hello"), sealed);
        assert.ok(cipher.open(data, sealed, opened));
        assert.ok(!cipher.open(Buffer.concat([data, Buffer.of(0)]), sealed, opened));
      }
    });

    it("has nothing of those that were disposed of before it, and they nothing of it", () => {
      const sealed = Buffer.alloc(20 + 28);
      const sealedByOther = Buffer.alloc(20 + 28);
      const opened = Buffer.alloc(20);
      for (let turn = 0; turn < 5; turn++) {
        const gone = make(randomBytes(32));
        gone.seal(associatedData, randomBytes(20), sealed);
        gone[Symbol.dispose]();
        using cipher = make();
        assert.ok(!cipher.open(associatedData, sealed, opened));
        gone[Symbol.dispose]();
        using other = make(randomBytes(32));
        other.seal(associatedData, randomBytes(20), sealedByOther);
        cipher.seal(associatedData, Buffer.alloc(20, turn), sealed);
        assert.throws(() => gone.open(associatedData, sealed, opened), /disposed/);
        assert.throws(() => gone.seal(associatedData, opened, sealedByOther), /disposed/);
        assert.ok(!cipher.open(associatedData, sealedByOther, opened));
        using asNode = blockCiphers().make(suite, SecretBuffer.copyOf(keyBytes.subarray(0, suite.keyBytes)));
        assert.ok(asNode.open(associatedData, sealed, opened));
        assert.deepEqual(opened, Buffer.alloc(20, turn));
      }
    });

    it("refuses a change to any bit, another key and another place, and leaves zeros", () => {
      using cipher = make();
      using stranger = make(randomBytes(32));
      const sealed = Buffer.alloc(20 + 28);
      cipher.seal(associatedData, randomBytes(20), sealed);
      const opened = Buffer.alloc(20);
      const refuses = (open: () => boolean, what: string) => {
        opened.fill(0xaa);
        assert.equal(open(), false, what);
        assert.deepEqual(opened, Buffer.alloc(20), what);
      };
      for (let bit = 0; bit < sealed.length * 8; bit++) {
        const bad = Buffer.from(sealed);
        bad.writeUInt8(bad.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        refuses(() => cipher.open(associatedData, bad, opened), `bit ${bit}`);
      }
      refuses(() => stranger.open(associatedData, sealed, opened), "another key");
      refuses(() => cipher.open(Buffer.from("another place"), sealed, opened), "another place");
      assert.ok(cipher.open(associatedData, sealed, opened));
    });

    it("never seals twice alike", () => {
      using cipher = make();
      const nonces = new Set<string>();
      const sealed = Buffer.alloc(29);
      for (let i = 0; i < 1000; i++) {
        cipher.seal(associatedData, Buffer.of(1), sealed);
        nonces.add(sealed.toString("hex", 0, 12));
      }
      assert.equal(nonces.size, 1000);
    });

    it("refuses room of another length, a key of another length, and to work after its end", () => {
      const cipher = make();
      const plaintext = Buffer.alloc(10);
      for (const room of [0, 27, 37, 39]) {
        assert.throws(() => cipher.seal(associatedData, plaintext, Buffer.alloc(room)), RangeError);
        assert.throws(() => cipher.open(associatedData, Buffer.alloc(room), plaintext), RangeError);
      }
      for (const length of [0, suite.keyBytes - 1, suite.keyBytes + 1])
        assert.throws(() => ciphers.make(suite, SecretBuffer.random(length)), RangeError);
      cipher[Symbol.dispose]();
      cipher[Symbol.dispose]();
      assert.throws(() => cipher.seal(associatedData, plaintext, Buffer.alloc(38)), /after it was disposed of/);
      assert.throws(() => cipher.open(associatedData, Buffer.alloc(38), plaintext), /after it was disposed of/);
    });

    it("takes views into larger memory", () => {
      using cipher = make();
      const memory = Buffer.alloc(300);
      const plaintext = memory.subarray(7, 107);
      plaintext.fill(9);
      const sealed = memory.subarray(131, 131 + 128);
      cipher.seal(associatedData, plaintext, sealed);
      plaintext.fill(0);
      assert.ok(cipher.open(associatedData, sealed, plaintext));
      assert.ok(plaintext.every((byte) => byte === 9));
      assert.ok(memory.subarray(107, 131).every((byte) => byte === 0));
      assert.ok(memory.subarray(259).every((byte) => byte === 0));
    });
  });
