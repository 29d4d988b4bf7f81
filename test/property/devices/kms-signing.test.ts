import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { generateKeyPair } from "../../../src/crypto/curve.ts";
import type { AwsKmsClient } from "../../../src/devices/aws-kms/client.ts";
import { AwsKmsError } from "../../../src/devices/aws-kms/errors.ts";
import { pointOfSpki } from "../../../src/devices/aws-kms/public-key.ts";
import { KmsSigningKey } from "../../../src/devices/aws-kms/signing-key.ts";
import { scaled, seed } from "../../run-settings.ts";
import { keyArn, StubSigningKey, spkiOf } from "../../unit/devices/aws-kms/signing-stub.ts";

const refused = { name: "CryptoError", code: "KEY_FORMAT_INVALID" };

/** A fake client, which says so: it answers what it is told to. */
function fakeClient(key: StubSigningKey, spec: string, sign: (digest: Uint8Array) => Promise<Buffer>): AwsKmsClient {
  const shown = {
    keyArn,
    spec,
    usage: "SIGN_VERIFY",
    spki: spkiOf(spec === "SM2" ? "sm2" : "secp256k1", key.publicKey),
  };
  return {
    publicKey: () => Promise.resolve(shown),
    sign: async (digest: Uint8Array) => ({ keyArn, signature: await sign(digest) }),
  } as unknown as AwsKmsClient;
}

describe("the public key that a KMS shows", () => {
  for (const curve of ["sm2", "secp256k1"] as const)
    it(`is taken on ${curve} in its one encoding, which OpenSSL writes back the same`, () => {
      for (let round = 0; round < scaled(400); round++) {
        const { scalar, publicKey } = generateKeyPair(curve);
        scalar[Symbol.dispose]();
        const spki = spkiOf(curve, publicKey);
        assert.ok(pointOfSpki(curve, spki).equals(publicKey));
        const read = createPublicKey({ key: spki, format: "der", type: "spki" });
        assert.ok(read.export({ format: "der", type: "spki" }).equals(spki));
      }
    });

  it("is refused with any byte changed, added or missing", () => {
    const { scalar, publicKey } = generateKeyPair("sm2");
    scalar[Symbol.dispose]();
    const spki = spkiOf("sm2", publicKey);
    for (let at = 0; at < spki.length; at++)
      for (const flip of [0x01, 0x80, 0xff]) {
        const copy = Buffer.from(spki);
        copy[at] = (copy[at] ?? 0) ^ flip;
        assert.throws(() => pointOfSpki("sm2", copy), refused);
      }
    for (let length = 0; length < spki.length; length++) {
      assert.throws(() => pointOfSpki("sm2", spki.subarray(0, length)), refused);
      assert.throws(() => pointOfSpki("sm2", spki.subarray(spki.length - length)), refused);
    }
  });

  it("is never read from bytes that are anything else", () => {
    const bytes = fc.uint8Array({ minLength: 0, maxLength: 200 });
    const refuses = (given: Uint8Array) => assert.throws(() => pointOfSpki("secp256k1", given), refused);
    fc.assert(fc.property(bytes, refuses), { seed, numRuns: scaled(20_000) });
  });
});

describe("the signature that a KMS gives", () => {
  for (const [curve, spec] of [
    ["sm2", "SM2"],
    ["secp256k1", "ECC_SECG_P256K1"],
  ] as const)
    it(`is given out on ${curve} only as the KMS's honest one, whatever is done to it`, async () => {
      using key = await StubSigningKey.make(curve);
      let answer: Buffer = Buffer.alloc(0);
      using signing = await KmsSigningKey.open(
        fakeClient(key, spec, () => Promise.resolve(answer)),
        curve,
      );
      const change = fc.record({
        digest: fc.uint8Array({ minLength: 32, maxLength: 32 }),
        kind: fc.constantFrom("flip", "cut", "add", "insert", "other"),
        at: fc.nat(),
        byte: fc.integer({ min: 1, max: 255 }),
      });
      await fc.assert(
        fc.asyncProperty(change, async ({ digest, kind, at, byte }) => {
          const honest = await key.sign(digest);
          answer = honest;
          assert.equal((await signing.sign(digest)).length, 64);
          const place = at % honest.length;
          if (kind === "flip") {
            answer = Buffer.from(honest);
            answer[place] = (answer[place] ?? 0) ^ byte;
          } else if (kind === "cut") answer = honest.subarray(0, place);
          else if (kind === "add") answer = Buffer.concat([honest, Buffer.of(byte)]);
          else if (kind === "insert")
            answer = Buffer.concat([honest.subarray(0, place), Buffer.of(byte), honest.subarray(place)]);
          else answer = await key.sign(Buffer.from(digest).fill(byte, 0, 1 + (at % 31)));
          // A fill that changed nothing leaves an honest signature.
          const stillHonest =
            kind === "other" &&
            Buffer.from(digest)
              .fill(byte, 0, 1 + (at % 31))
              .equals(digest);
          if (stillHonest) return;
          await assert.rejects(
            signing.sign(digest),
            (error: unknown) =>
              error instanceof AwsKmsError && ["KMS_ANSWER_INVALID", "KMS_KEY_CHANGED"].includes(error.code),
          );
        }),
        { seed, numRuns: scaled(2000) },
      );
    });
});
