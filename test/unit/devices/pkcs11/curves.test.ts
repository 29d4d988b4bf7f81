import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import fc from "fast-check";
import { der, derTags } from "../../../../src/crypto/der.ts";
import {
  type CurveName,
  curveOfParams,
  curves,
  fingerprintOf,
  pointOfAttribute,
  spkiOfPoint,
} from "../../../../src/devices/pkcs11/curves.ts";
import { scaled, seed } from "../../../run-settings.ts";

const opensslCurves = {
  ECC_NIST_P256: "prime256v1",
  ECC_NIST_P384: "secp384r1",
  ECC_NIST_P521: "secp521r1",
  ECC_SECG_P256K1: "secp256k1",
} as const;

function publicKeys(): readonly (readonly [name: CurveName, spki: Buffer, point: Buffer])[] {
  const exported = { format: "der", type: "spki" } as const;
  const pairs = Object.entries(opensslCurves).map(
    ([name, namedCurve]) => [name as CurveName, generateKeyPairSync("ec", { namedCurve }).publicKey] as const,
  );
  return [...pairs, ["ED25519", generateKeyPairSync("ed25519").publicKey] as const].map(([name, key]) => {
    const spki = key.export(exported);
    return [name, spki, spki.subarray(-curves[name].pointBytes)];
  });
}

describe("a token's public key", () => {
  it("is on a curve of the order that another implementation has", () => {
    for (const [name, { Point }] of [
      ["ECC_NIST_P256", p256],
      ["ECC_NIST_P384", p384],
      ["ECC_NIST_P521", p521],
      ["ECC_SECG_P256K1", secp256k1],
    ] as const)
      assert.equal(curves[name].order, Point.Fn.ORDER, name);
  });

  it("becomes the SubjectPublicKeyInfo that OpenSSL writes, with its SHA-256 as fingerprint", () => {
    for (const [name, spki, point] of publicKeys()) {
      assert.deepEqual(spkiOfPoint(name, point), spki);
      assert.deepEqual(fingerprintOf(spki), createHash("sha256").update(spki).digest());
    }
  });

  it("is read as a DER OCTET STRING and as the bare point, which vendors' modules give", () => {
    for (const [name, , point] of publicKeys()) {
      assert.deepEqual(pointOfAttribute(name, der(derTags.octetString, point)), point);
      assert.deepEqual(pointOfAttribute(name, point), point);
    }
  });

  it("is refused in any other form", () => {
    for (const [name, , point] of publicKeys()) {
      const wrapped = der(derTags.octetString, point);
      const refused = [
        Buffer.alloc(0),
        point.subarray(1),
        Buffer.concat([wrapped, Buffer.of(0)]),
        wrapped.subarray(0, -1),
        der(derTags.bitString, point),
        der(derTags.octetString, point, Buffer.of(1)),
      ];
      if (name !== "ED25519") refused.push(Buffer.concat([Buffer.of(3), point.subarray(1)]));
      for (const form of refused)
        assert.equal(pointOfAttribute(name, form), undefined, `${name} ${form.toString("hex")}`);
    }
  });

  it("is on the curve that its parameters name; unknown parameters name none", () => {
    for (const [name, { params }] of Object.entries(curves))
      for (const known of params) assert.equal(curveOfParams(known), name);
    for (const unknown of ["", "06082a8648ce3d030106", "06052b81040024", "13026564", "06082a811ccf5501822d"])
      assert.equal(curveOfParams(Buffer.from(unknown, "hex")), undefined);
  });

  it("is refused, not misread, in any random bytes", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 140 }),
        fc.constantFrom(...(Object.keys(curves) as CurveName[])),
        (bytes, name) => {
          const point = pointOfAttribute(name, bytes);
          assert.ok(point === undefined || point.length === curves[name].pointBytes);
        },
      ),
      { seed, numRuns: scaled(4000) },
    );
  });
});
