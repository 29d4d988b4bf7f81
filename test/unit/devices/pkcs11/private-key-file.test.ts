import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it, mock } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { readImportedKey } from "../../../../src/devices/pkcs11/private-key-file.ts";

const pems = {
  ECC_NIST_P256: generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey,
  ECC_SECG_P256K1: generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey,
  ED25519: generateKeyPairSync("ed25519").privateKey,
} as const;

function read(pem: string): string {
  using text = SecretBuffer.take(Buffer.from(pem));
  using key = readImportedKey(text);
  return key.curve;
}

describe("a private key's file that is imported", () => {
  for (const [curve, key] of Object.entries(pems)) {
    const pem = String(key.export({ type: "pkcs8", format: "pem" })).trimEnd();

    it(`on ${curve} is read with either line end`, () => {
      assert.equal(read(pem), curve);
      assert.equal(read(pem.replaceAll("\n", "\r\n")), curve);
    });

    it(`on ${curve} never becomes text`, () => {
      const secret = pem.split("\n").slice(1, -1);
      const texts: string[] = [];
      const real = Buffer.prototype.toString;
      mock.method(Buffer.prototype, "toString", function (this: Buffer, ...given: never[]) {
        const text = real.apply(this, given);
        texts.push(text);
        return text;
      });
      try {
        read(pem);
      } finally {
        mock.restoreAll();
      }
      assert.ok(texts.length > 0 || curve !== "ED25519");
      for (const line of secret) assert.ok(!texts.some((text) => text.includes(line)));
    });
  }

  it("is refused when it is anything else", () => {
    const pem = String(pems.ED25519.export({ type: "pkcs8", format: "pem" })).trimEnd();
    for (const bad of [
      "x".repeat(118),
      `\n${pem.slice(1)}`,
      pem.replace("MC4C", "MC5C"),
      pem.replace("\n", " "),
      `${pem}\n\n`,
    ])
      assert.throws(() => read(bad), { code: "KEY_FORMAT_INVALID" });
  });
});
