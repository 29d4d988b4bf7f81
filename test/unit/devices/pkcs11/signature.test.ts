import assert from "node:assert/strict";
import { generateKeyPairSync, sign, verify } from "node:crypto";
import { describe, it } from "node:test";
import { DerReader, derTags } from "../../../../src/crypto/der.ts";
import { curves, type EcdsaCurve } from "../../../../src/devices/pkcs11/curves.ts";
import { ecdsaSignatureOfRaw } from "../../../../src/devices/pkcs11/signature.ts";
import { scaled } from "../../../run-settings.ts";

const names: Readonly<Record<EcdsaCurve, readonly [opensslCurve: string, hash: string]>> = {
  ECC_NIST_P256: ["prime256v1", "sha256"],
  ECC_NIST_P384: ["secp384r1", "sha384"],
  ECC_NIST_P521: ["secp521r1", "sha512"],
  ECC_SECG_P256K1: ["secp256k1", "sha256"],
};
const specs = Object.keys(names) as EcdsaCurve[];

function bytesOf(value: bigint, length: number): Buffer {
  return Buffer.from(value.toString(16).padStart(2 * length, "0"), "hex");
}

function sOf(signature: Buffer, spec: EcdsaCurve): bigint {
  const sequence = new DerReader(signature, () => new Error("not DER")).enter(derTags.sequence);
  sequence.readUnsigned(curves[spec].scalarBytes);
  return BigInt(`0x${sequence.readUnsigned(curves[spec].scalarBytes).toString("hex")}`);
}

describe("a token's raw ECDSA signature", () => {
  for (const spec of specs)
    it(`on ${spec} becomes DER with the lower s, which verifies`, () => {
      const [namedCurve, hash] = names[spec];
      const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve });
      const { order } = curves[spec];
      for (let round = 0; round < scaled(400); round++) {
        const message = Buffer.from(`message ${round}`);
        const raw = sign(hash, message, { key: privateKey, dsaEncoding: "ieee-p1363" });
        const signature = ecdsaSignatureOfRaw(spec, raw);
        assert.ok(signature);
        assert.ok(verify(hash, message, publicKey, signature));
        assert.ok(sOf(signature, spec) <= order / 2n);
      }
    });

  it("is refused unless both of its numbers are from 1 to the order less 1", () => {
    for (const spec of specs) {
      const { scalarBytes, order } = curves[spec];
      const raw = (r: bigint, s: bigint) => Buffer.concat([bytesOf(r, scalarBytes), bytesOf(s, scalarBytes)]);
      assert.ok(ecdsaSignatureOfRaw(spec, raw(1n, 1n)));
      assert.ok(ecdsaSignatureOfRaw(spec, raw(order - 1n, order - 1n)));
      for (const [r, s] of [
        [0n, 1n],
        [1n, 0n],
        [order, 1n],
        [1n, order],
      ] as const)
        assert.equal(ecdsaSignatureOfRaw(spec, raw(r, s)), undefined, `${spec} ${r} ${s}`);
    }
  });

  it("is refused when it has another length", () => {
    for (const spec of specs) {
      const { scalarBytes } = curves[spec];
      for (const length of [0, 1, scalarBytes, 2 * scalarBytes - 1, 2 * scalarBytes + 1])
        assert.equal(ecdsaSignatureOfRaw(spec, Buffer.alloc(length, 1)), undefined);
    }
  });

  it("keeps a low s as it is, and takes the order less a high one", () => {
    const { order } = curves.ECC_SECG_P256K1;
    for (const [s, expected] of [
      [1n, 1n],
      [order / 2n, order / 2n],
      [order / 2n + 1n, order / 2n],
      [order - 1n, 1n],
    ] as const) {
      const signature = ecdsaSignatureOfRaw("ECC_SECG_P256K1", Buffer.concat([bytesOf(5n, 32), bytesOf(s, 32)]));
      assert.ok(signature);
      assert.equal(sOf(signature, "ECC_SECG_P256K1"), expected);
    }
  });
});
