import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../../src/crypto/secret-buffer.ts";
import { suites } from "../../../../../src/crypto/suite.ts";
import { nodeKeyedFunctions } from "../../../../../src/volume/sealfs/cipher/keyed-functions.ts";
import { loadKeyedFunctions } from "../../../../../src/volume/sealfs/cipher/openssl-keyed.ts";

const fast = await loadKeyedFunctions();

describe("keyed functions by OpenSSL's own", () => {
  it("are those of this Node's OpenSSL", () => {
    assert.notEqual(fast, nodeKeyedFunctions);
  });

  for (const suite of [suites.intl, suites.sm])
    it(`give what node:crypto gives for every length, keys in turn (${suite.name})`, () => {
      for (let bytes = 0; bytes < 200; bytes += 7) {
        const [key, message, iv] = [randomBytes(32), randomBytes(bytes), randomBytes(16)];
        using mac = fast.macOf(suite, SecretBuffer.copyOf(key));
        using nodeMac = nodeKeyedFunctions.macOf(suite, SecretBuffer.copyOf(key));
        assert.deepEqual(mac.mac(message), nodeMac.mac(message));
        assert.deepEqual(mac.mac(message), nodeMac.mac(message), "a second time");
        const short = key.subarray(0, suite.keyBytes);
        using mode = fast.counterModeOf(suite, SecretBuffer.copyOf(short));
        using nodeMode = nodeKeyedFunctions.counterModeOf(suite, SecretBuffer.copyOf(short));
        assert.deepEqual(mode.crypt(iv, message), nodeMode.crypt(iv, message));
        assert.deepEqual(mode.crypt(iv, mode.crypt(iv, message)), message);
        using secret = SecretBuffer.copyOf(key);
        for (const salt of [Buffer.alloc(0), iv, randomBytes(100)]) {
          using derived = fast.derive(suite, secret, salt, message, suite.keyBytes);
          using nodeDerived = nodeKeyedFunctions.derive(suite, secret, salt, message, suite.keyBytes);
          assert.ok(derived.equals(nodeDerived));
        }
      }
    });

  it("derive the keys of RFC 5869, appendix A.1 (of which the first 32 bytes)", () => {
    using secret = SecretBuffer.take(Buffer.alloc(22, 0x0b));
    const [salt, info] = [Buffer.from("000102030405060708090a0b0c", "hex"), Buffer.from("f0f1f2f3f4f5f6f7f8f9", "hex")];
    using derived = fast.derive(suites.intl, secret, salt, info, 32);
    assert.ok(derived.equals(Buffer.from("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf", "hex")));
  });

  it("refuse to be used after they were disposed of, and wrong lengths", () => {
    const mac = fast.macOf(suites.intl, SecretBuffer.random(32));
    mac[Symbol.dispose]();
    mac[Symbol.dispose]();
    assert.throws(() => mac.mac(Buffer.alloc(1)), /disposed/);
    const mode = fast.counterModeOf(suites.intl, SecretBuffer.random(32));
    assert.throws(() => mode.crypt(Buffer.alloc(15), Buffer.alloc(1)), RangeError);
    mode[Symbol.dispose]();
    assert.throws(() => mode.crypt(Buffer.alloc(16), Buffer.alloc(1)), /disposed/);
    assert.throws(() => fast.counterModeOf(suites.intl, SecretBuffer.random(16)), RangeError);
    assert.throws(() => fast.counterModeOf(suites.sm, SecretBuffer.random(32)), RangeError);
    using secret = SecretBuffer.random(32);
    assert.throws(() => fast.derive(suites.intl, secret, Buffer.alloc(0), Buffer.alloc(0), 33), RangeError);
  });

  it("take the key that they are given, and leave a secret that is derived from", () => {
    const [key, other, secret] = [SecretBuffer.random(32), SecretBuffer.random(32), SecretBuffer.random(32)];
    using _mac = fast.macOf(suites.intl, key);
    using _mode = fast.counterModeOf(suites.intl, other);
    assert.ok(key.disposed && other.disposed);
    using _derived = fast.derive(suites.intl, secret, Buffer.alloc(16), Buffer.alloc(0), 32);
    assert.ok(!secret.disposed);
    secret[Symbol.dispose]();
  });
});
