import assert from "node:assert/strict";
import { constants, createPublicKey, hash, publicEncrypt, verify } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import fc from "fast-check";
import { generateKeyPairOf } from "../../../src/crypto/key-generation.ts";
import {
  type EncryptionAlgorithmName,
  encryptionAlgorithms,
  type KeyPairSpecName,
  keySpecs,
  maxEncryptBytes,
  type SigningAlgorithmName,
  signingAlgorithms,
} from "../../../src/crypto/key-specs.ts";
import { OpensslKey } from "../../../src/crypto/openssl-key.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { sm2SignatureToDer, sm2SignatureToRaw } from "../../../src/crypto/sm2.ts";
import { sm2SignDigest, sm2VerifyDigest } from "../../../src/crypto/sm2-digest.ts";
import { sm2Encrypt } from "../../../src/crypto/sm2-encryption.ts";
import { scaled, seed } from "../../run-settings.ts";

const specs = ["RSA_2048", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1", "SM2"] as const;
const nobleCurves = { ECC_NIST_P256: p256, ECC_NIST_P384: p384, ECC_NIST_P521: p521, ECC_SECG_P256K1: secp256k1 };

interface Pair {
  readonly privateKey: OpensslKey;
  readonly publicKey: OpensslKey;
  readonly pkcs8: SecretBuffer;
  readonly spki: Buffer;
}

describe("keys inside OpenSSL", () => {
  const pairs = new Map<KeyPairSpecName, Pair>();
  const pairOf = (spec: KeyPairSpecName): Pair => {
    const pair = pairs.get(spec);
    assert.ok(pair !== undefined);
    return pair;
  };
  before(async () => {
    for (const spec of specs) {
      const { pkcs8, spki } = await generateKeyPairOf(spec);
      const privateKey = await OpensslKey.ofPrivateKey(spec, pkcs8);
      pairs.set(spec, { privateKey, publicKey: await OpensslKey.ofPublicKey(spec, spki), pkcs8, spki });
    }
  });
  after(() => {
    for (const { privateKey, publicKey, pkcs8 } of pairs.values())
      for (const each of [privateKey, publicKey, pkcs8]) each[Symbol.dispose]();
  });

  const spec = fc.constantFrom(...specs);
  const signing = spec.chain((each) =>
    fc.record({
      spec: fc.constant<KeyPairSpecName>(each),
      algorithm: fc.constantFrom<SigningAlgorithmName>(...keySpecs[each].signing),
      message: fc.uint8Array({ maxLength: 300 }),
    }),
  );

  const digestOf = (algorithm: SigningAlgorithmName, message: Uint8Array): Buffer =>
    hash(signingAlgorithms[algorithm].hash, message, "buffer");

  it("sign any digest so that node:crypto, noble and they themselves take it, and no other digest", async () => {
    await fc.assert(
      fc.asyncProperty(signing, async ({ spec: each, algorithm, message }) => {
        const { privateKey, publicKey, spki } = pairOf(each);
        const digest = digestOf(algorithm, message);
        const signature = await privateKey.signDigest(algorithm, digest);
        assert.ok(publicKey.verifyDigest(algorithm, digest, signature));
        assert.ok(isTakenByOthers(each, algorithm, spki, message, digest, signature));
        const other = Buffer.from(digest);
        other[0] = (other[0] ?? 0) ^ 1;
        assert.ok(!publicKey.verifyDigest(algorithm, other, signature));
      }),
      { seed, numRuns: scaled(2000) },
    );
  });

  it("take signatures that others made", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 32, maxLength: 32 }), async (digest) => {
        const { publicKey, pkcs8, spki } = pairOf("ECC_SECG_P256K1");
        const scalarAt = (key: Buffer) => key.indexOf(Buffer.of(0x02, 0x01, 0x01, 0x04, 0x20)) + 5;
        const signature = pkcs8.expose((key) =>
          secp256k1.sign(digest, key.subarray(scalarAt(key), scalarAt(key) + 32), { prehash: false, format: "der" }),
        );
        assert.ok(publicKey.verifyDigest("ECDSA_SHA_256", digest, signature));
        const sm2 = pairOf("SM2");
        using scalar = sm2.pkcs8.expose((key) => SecretBuffer.copyOf(key.subarray(scalarAt(key), scalarAt(key) + 32)));
        const ofSm2 = sm2SignatureToDer(sm2SignDigest(scalar, digest));
        assert.ok(sm2.publicKey.verifyDigest("SM2DSA", digest, ofSm2));
        assert.ok(!publicKey.verifyDigest("ECDSA_SHA_256", digest, ofSm2));
        assert.ok(spki.length > 0);
      }),
      { seed, numRuns: scaled(400) },
    );
  });

  it("take no signature with a byte changed, cut or added, and no bytes that are not a signature", async () => {
    const change = fc.oneof(
      fc.record({ kind: fc.constant("flip"), at: fc.nat(), by: fc.integer({ min: 1, max: 255 }) }),
      fc.record({ kind: fc.constant("cut"), at: fc.integer({ min: 1, max: 40 }), by: fc.constant(0) }),
      fc.record({ kind: fc.constant("add"), at: fc.constant(0), by: fc.integer({ min: 0, max: 255 }) }),
    );
    const other = fc.uint8Array({ maxLength: 600 });
    await fc.assert(
      fc.asyncProperty(signing, change, other, async ({ spec: each, algorithm, message }, { kind, at, by }, bytes) => {
        const { privateKey, publicKey } = pairOf(each);
        const digest = digestOf(algorithm, message);
        const signature = await privateKey.signDigest(algorithm, digest);
        const changed =
          kind === "cut"
            ? signature.subarray(0, signature.length - at)
            : Buffer.concat([signature, kind === "add" ? Buffer.of(by) : Buffer.of()]);
        if (kind === "flip") changed[at % changed.length] = (changed[at % changed.length] ?? 0) ^ by;
        assert.ok(!publicKey.verifyDigest(algorithm, digest, changed));
        assert.ok(!publicKey.verifyDigest(algorithm, digest, bytes));
      }),
      { seed, numRuns: scaled(2000) },
    );
  });

  it("take no RSA signature that lacks its leading zero", async () => {
    const { privateKey, publicKey } = pairOf("RSA_2048");
    for (const algorithm of ["RSASSA_PSS_SHA_256", "RSASSA_PKCS1_V1_5_SHA_256"] as const)
      for (let number = 0; ; number++) {
        const digest = digestOf(algorithm, Buffer.from(String(number)));
        const signature = await privateKey.signDigest(algorithm, digest);
        if (signature[0] !== 0) continue;
        assert.ok(publicKey.verifyDigest(algorithm, digest, signature));
        assert.ok(!publicKey.verifyDigest(algorithm, digest, signature.subarray(1)));
        break;
      }
  });

  it("decrypt what others encrypted, and nothing of any other bytes", async () => {
    const encryption = fc.constantFrom<[KeyPairSpecName, EncryptionAlgorithmName]>(
      ["RSA_2048", "RSAES_OAEP_SHA_1"],
      ["RSA_2048", "RSAES_OAEP_SHA_256"],
      ["SM2", "SM2PKE"],
    );
    const plaintexts = fc.uint8Array({ minLength: 1, maxLength: maxEncryptBytes("RSA_2048", "RSAES_OAEP_SHA_256") });
    const other = fc.uint8Array({ maxLength: 1300 });
    await fc.assert(
      fc.asyncProperty(encryption, plaintexts, other, fc.nat(), async ([each, algorithm], plaintext, bytes, at) => {
        const { privateKey, spki } = pairOf(each);
        const ciphertext =
          algorithm === "SM2PKE"
            ? sm2Encrypt(spki.subarray(-65), plaintext, "asn1")
            : publicEncrypt(
                {
                  key: createPublicKey({ key: spki, format: "der", type: "spki" }),
                  padding: constants.RSA_PKCS1_OAEP_PADDING,
                  oaepHash: encryptionAlgorithms[algorithm].hash,
                },
                plaintext,
              );
        using opened = await privateKey.decrypt(algorithm, ciphertext);
        assert.ok(opened?.equals(plaintext));
        const changed = Buffer.from(ciphertext);
        changed[at % changed.length] = (changed[at % changed.length] ?? 0) ^ 1;
        assert.equal(await privateKey.decrypt(algorithm, changed), undefined);
        assert.equal(await privateKey.decrypt(algorithm, bytes), undefined);
      }),
      { seed, numRuns: scaled(1000) },
    );
  });

  it("are read from nothing but DER of their kind", async () => {
    const cut = fc.integer({ min: 1, max: 30 });
    await fc.assert(
      fc.asyncProperty(spec, spec, cut, fc.uint8Array({ maxLength: 200 }), async (each, other, bytes, noise) => {
        const { spki, pkcs8 } = pairOf(each);
        const refused = { code: "KEY_FORMAT_INVALID" };
        await assert.rejects(OpensslKey.ofPublicKey(each, spki.subarray(0, spki.length - bytes)), refused);
        await assert.rejects(OpensslKey.ofPublicKey(each, noise), refused);
        using asSecret = SecretBuffer.copyOf(noise);
        await assert.rejects(OpensslKey.ofPrivateKey(each, asSecret), refused);
        using half = pkcs8.expose((key) => SecretBuffer.copyOf(key.subarray(0, key.length - bytes)));
        await assert.rejects(OpensslKey.ofPrivateKey(each, half), refused);
        if (keySpecs[each].kind !== keySpecs[other].kind)
          await assert.rejects(OpensslKey.ofPublicKey(other, spki), refused);
      }),
      { seed, numRuns: scaled(1000) },
    );
  });

  it("refuse to be used once disposed of", async () => {
    const key = await OpensslKey.ofPublicKey("ECC_NIST_P256", pairOf("ECC_NIST_P256").spki);
    key[Symbol.dispose]();
    key[Symbol.dispose]();
    assert.throws(() => key.verifyDigest("ECDSA_SHA_256", Buffer.alloc(32), Buffer.alloc(70)), /after it was wiped/);
  });
});

function isTakenByOthers(
  spec: KeyPairSpecName,
  algorithm: SigningAlgorithmName,
  spki: Buffer,
  message: Uint8Array,
  digest: Buffer,
  signature: Buffer,
): boolean {
  const { scheme, hash: hashName, digestBytes } = signingAlgorithms[algorithm];
  if (scheme === "sm2") return sm2VerifyDigest(spki.subarray(-65), digest, sm2SignatureToRaw(signature));
  const key = createPublicKey({ key: spki, format: "der", type: "spki" });
  const options =
    scheme === "rsa-pss" ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: digestBytes } : key;
  if (!verify(hashName, message, options, signature)) return false;
  if (scheme !== "ecdsa") return true;
  const curve = nobleCurves[spec as keyof typeof nobleCurves];
  const point = spki.subarray(-(2 * curve.Point.Fp.BYTES + 1));
  return curve.verify(signature, digest, point, { prehash: false, format: "der", lowS: false });
}
