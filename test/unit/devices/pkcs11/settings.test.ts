import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pkcs11ConfigSchema } from "../../../../src/devices/pkcs11/config.ts";
import { materialOf, readMaterial } from "../../../../src/devices/pkcs11/material.ts";
import { pkcs11NativeOptions } from "../../../../src/devices/pkcs11/native-options.ts";

const library = "/usr/lib/vendor/libcryptoki.so";
const keyOf = (material: Buffer | string) =>
  ({
    keyId: "00112233-4455-6677-8899-aabbccddeeff",
    version: 3,
    suite: "intl",
    material: Buffer.from(material),
  }) as const;

describe("settings of a PKCS#11 token", () => {
  it("have defaults for all but the module", () => {
    assert.deepEqual(pkcs11ConfigSchema.parse({ library }), {
      library,
      wrap: "auto",
      threads: true,
      useFinalTry: false,
    });
  });

  it("are refused when a name is unknown or a value out of its range", () => {
    for (const wrong of [
      {},
      { library: "libcryptoki.so" },
      { library, pin: "1234" },
      { library, tokenLabel: "" },
      { library, tokenLabel: "x".repeat(33) },
      { library, slot: 1.5 },
      { library, wrap: "des" },
      { library, threads: "yes" },
    ])
      assert.equal(pkcs11ConfigSchema.safeParse(wrong).success, false, JSON.stringify(wrong));
  });

  it("let calls run in threads where there are several sessions, unless told otherwise", () => {
    const threadsOf = (maxSessions: number, threads?: boolean) => {
      const settings = threads === undefined ? { library } : { library, threads };
      return (pkcs11NativeOptions({ settings, pool: { maxSessions } }).config as { threads: boolean }).threads;
    };
    assert.equal(threadsOf(1), false);
    assert.equal(threadsOf(4), true);
    assert.equal(threadsOf(4, false), false);
    assert.throws(() => pkcs11NativeOptions({ settings: { library }, pool: { maxSessions: 0 } }), RangeError);
  });
});

describe("the material of a token's key", () => {
  it("names the key, and what it wraps by or is known by", () => {
    const wrap = { id: "a1", wrap: "aes-kw" } as const;
    assert.deepEqual(readMaterial("wrap", keyOf(materialOf("wrap", wrap))), wrap);
    const pair = { id: "a1b2", fingerprint: "ab".repeat(32) };
    assert.deepEqual(readMaterial("sign", keyOf(materialOf("sign", pair))), pair);
  });

  it("is damaged in any other form", () => {
    for (const material of [
      "",
      "{}",
      "null",
      "[]",
      '{"id":"a1"}',
      '{"id":"","wrap":"aes-gcm"}',
      '{"id":"A1","wrap":"aes-gcm"}',
      '{"id":"a","wrap":"aes-gcm"}',
      '{"id":"a1","wrap":"aes-ecb"}',
      '{"id":"a1","wrap":"aes-gcm","more":1}',
      `{"id":"${"a1".repeat(256)}","wrap":"aes-gcm"}`,
    ])
      assert.throws(() => readMaterial("wrap", keyOf(material)), { code: "KEY_DAMAGED" }, material);
    assert.throws(() => readMaterial("sign", keyOf('{"id":"a1","fingerprint":"abcd"}')), { code: "KEY_DAMAGED" });
    assert.throws(() => readMaterial("sign", keyOf(materialOf("wrap", { id: "a1", wrap: "aes-gcm" }))), {
      code: "KEY_DAMAGED",
      message: /version 3 names no key of a token/,
    });
  });
});
