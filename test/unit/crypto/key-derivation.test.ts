import assert from "node:assert/strict";
import { hkdfSync, scryptSync } from "node:crypto";
import { describe, it } from "node:test";
import { pbkdf2Key, scryptBounds, scryptKey } from "../../../src/crypto/kdf.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { hkdf, suites } from "../../../src/crypto/suite.ts";

const passphrase = SecretBuffer.copyOf(Buffer.from("correct horse"));
const salt = Buffer.alloc(16, 7);

describe("key derivation", () => {
  it("scrypt gives what Node gives, within the bounds", async () => {
    const parameters = { cost: scryptBounds.minCost, blockSize: 8, parallelization: 1 };
    using key = await scryptKey(passphrase, salt, 32, parameters);
    const options = { ...parameters, maxmem: 64 << 20 };
    assert.ok(key.equals(scryptSync("correct horse", salt, 32, options)));
  });

  it("scrypt refuses weak and ruinous parameters before it works", async () => {
    const good = { cost: scryptBounds.minCost, blockSize: 8, parallelization: 1 };
    for (const bad of [
      { cost: 2 ** 13 },
      { cost: 2 ** 18 },
      { cost: 2 ** 14 + 1 },
      { cost: 0 },
      { cost: -(2 ** 14) },
      { cost: Number.NaN },
      { cost: Number.POSITIVE_INFINITY },
      { blockSize: 1 },
      { blockSize: 2 ** 20 },
      { parallelization: 0 },
      { parallelization: 1.5 },
      { parallelization: 1000 },
    ])
      await assert.rejects(scryptKey(passphrase, salt, 32, { ...good, ...bad }), RangeError, JSON.stringify(bad));
    await assert.rejects(scryptKey(passphrase, Buffer.alloc(15), 32, good), RangeError);
    await assert.rejects(scryptKey(passphrase, salt, 15, good), RangeError);
    await assert.rejects(scryptKey(passphrase, salt, 65, good), RangeError);
  });

  it("PBKDF2 over SHA-256 gives the value of RFC 7914 section 11, and refuses what is out of range", async () => {
    using password = SecretBuffer.copyOf(Buffer.from("passwd"));
    using key = await pbkdf2Key("sha256", password, Buffer.from("salt"), 1, 64);
    const expected = "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc";
    assert.ok(key.expose((bytes) => bytes.subarray(0, 32).equals(Buffer.from(expected, "hex"))));
    for (const iterations of [0, -1, 1.5, 10_000_001, Number.NaN])
      await assert.rejects(pbkdf2Key("sm3", password, salt, iterations, 32), RangeError);
    for (const bytes of [0, 65, 1.5]) await assert.rejects(pbkdf2Key("sm3", password, salt, 1, bytes), RangeError);
  });

  it("HKDF gives RFC 5869 test case 1, and over SM3 what Node gives", () => {
    using ikm = SecretBuffer.take(Buffer.alloc(22, 0x0b));
    const rfcSalt = Buffer.from("000102030405060708090a0b0c", "hex");
    const info = Buffer.from("f0f1f2f3f4f5f6f7f8f9", "hex");
    using key = hkdf(suites.intl, ikm, rfcSalt, info, 42);
    const okm = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    assert.ok(key.equals(Buffer.from(okm, "hex")));
    using sm = hkdf(suites.sm, ikm, rfcSalt, info, 42);
    assert.ok(sm.equals(new Uint8Array(hkdfSync("sm3", Buffer.alloc(22, 0x0b), rfcSalt, info, 42))));
  });
});
