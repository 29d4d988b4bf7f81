import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as crypto from "../../../src/crypto/index.ts";

describe("strongroom/crypto", () => {
  it("does not offer the calls that take their randomness from the caller, nor unregistered legacy decryption", () => {
    const names = Object.keys(crypto);
    for (const inner of ["sealBoxWithGivenRandomness", "encryptWithEphemeralKey", "legacyEncrypt", "legacyDecrypt"])
      assert.ok(!names.includes(inner), inner);
    for (const name of names.filter((name) => /cbc|ctr/i.test(name))) assert.match(name, /Unauthenticated$/);
  });

  it("is enough to make a key, seal it, open it and sign", () => {
    const { scalar, publicKey } = crypto.generateKeyPair("sm2");
    using secret = crypto.SecretBuffer.random(32);
    const header = {
      suite: crypto.suites.sm,
      type: "file",
      keyId: "00112233-4455-6677-8899-aabbccddeeff",
      keyVersion: 1,
      deviceAlgorithm: crypto.deviceAlgorithms.soft,
      deviceBlob: Buffer.alloc(0),
    } as const;
    const context = { node: "node0", publicKey: crypto.nodeIdOf(publicKey) };
    using file = crypto.writePrivateKey("sm2", scalar, "pkcs8");
    const box = file.expose((bytes) => crypto.sealBox(header, secret, context, bytes));
    using opened = crypto.openBox(box, "file", secret, context);
    const read = opened.expose(crypto.readPrivateKey);
    const signature = crypto.sm2Sign(crypto.sm2SigningKey(read.scalar), Buffer.from("block"));
    assert.ok(crypto.sm2Verify(publicKey, Buffer.from("block"), signature));
  });
});
