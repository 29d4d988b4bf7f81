import assert from "node:assert/strict";
import {
  constants,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  publicEncrypt,
  randomBytes,
  randomUUID,
  verify,
} from "node:crypto";
import { describe, it } from "node:test";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import {
  type EncryptionAlgorithmName,
  type KeyPairSpecName,
  keySpecs,
  type MacSpecName,
  macAlgorithms,
  maxEncryptBytes,
  type SigningAlgorithmName,
  signingAlgorithms,
} from "../../../src/crypto/key-specs.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { sm2Digest, sm2SignatureToRaw, sm2Verify } from "../../../src/crypto/sm2.ts";
import { sm2VerifyDigest } from "../../../src/crypto/sm2-digest.ts";
import { sm2Encrypt } from "../../../src/crypto/sm2-encryption.ts";
import type { SpecifiedDeviceKey } from "../../../src/devices/device.ts";
import { RootKey } from "../../../src/devices/root-key.ts";
import { SoftDevice } from "../../../src/devices/soft.ts";

const newRoot = () => new RootKey(randomUUID(), "intl", SecretBuffer.random(32));
const nobleCurves = { ECC_NIST_P256: p256, ECC_NIST_P384: p384, ECC_NIST_P521: p521, ECC_SECG_P256K1: secp256k1 };
const signingSpecs = (Object.keys(keySpecs) as (keyof typeof keySpecs)[]).filter(
  (spec): spec is KeyPairSpecName => keySpecs[spec].signing.length > 0,
);
const macSpecs = Object.keys(keySpecs).filter((spec): spec is MacSpecName => spec.startsWith("HMAC_"));

async function make(device: SoftDevice, spec: SpecifiedDeviceKey["spec"], usage: SpecifiedDeviceKey["usage"]) {
  const name = { keyId: randomUUID(), version: 1, suite: keySpecs[spec].suite, spec, usage } as const;
  const { material, spki } = await device.createSpecifiedKey(name);
  const publicKey = spki === null ? undefined : createPublicKey({ key: spki, format: "der", type: "spki" });
  return { key: { ...name, material }, publicKey, spki };
}

/** Whether OpenSSL, noble or both, none of which was asked to sign, take the signature. */
function isGood(
  spec: KeyPairSpecName,
  algorithm: SigningAlgorithmName,
  publicKey: KeyObject,
  message: Buffer,
  signature: Buffer,
): boolean {
  const { scheme, hash, digestBytes } = signingAlgorithms[algorithm];
  if (scheme === "rsa-pkcs1") return verify(hash, message, publicKey, signature);
  if (scheme === "rsa-pss") {
    const key = { key: publicKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: digestBytes };
    return verify(hash, message, key, signature);
  }
  const point = publicKey.export({ format: "der", type: "spki" });
  if (scheme === "sm2") {
    const bytes = point.subarray(-65);
    const digest = sm2Digest(bytes, message);
    return (
      sm2Verify(bytes, message, signature, { form: "der" }) &&
      sm2VerifyDigest(bytes, digest, sm2SignatureToRaw(signature))
    );
  }
  const curve = nobleCurves[spec as keyof typeof nobleCurves];
  const bytes = point.subarray(-(2 * curve.Point.Fp.BYTES + 1));
  const digest = createHash(hash).update(message).digest();
  return (
    verify(hash, message, publicKey, signature) &&
    curve.verify(signature, digest, bytes, { prehash: false, format: "der", lowS: false })
  );
}

function digestOf(algorithm: SigningAlgorithmName, publicKey: KeyObject, message: Buffer): Buffer {
  if (algorithm === "SM2DSA")
    return sm2Digest(publicKey.export({ format: "der", type: "spki" }).subarray(-65), message);
  return createHash(signingAlgorithms[algorithm].hash).update(message).digest();
}

describe("soft device, key pairs", () => {
  for (const spec of signingSpecs)
    it(`signs digests with ${spec} so that others verify them, across a restart`, async () => {
      using root = newRoot();
      const first = new SoftDevice(root);
      const { key, publicKey } = await make(first, spec, "sign");
      assert.ok(publicKey !== undefined);
      const message = randomBytes(100);
      for (const algorithm of keySpecs[spec].signing) {
        const signature = await first.signDigest(key, algorithm, digestOf(algorithm, publicKey, message));
        assert.ok(isGood(spec, algorithm, publicKey, message, signature), algorithm);
      }
      await first.lock();
      await using second = new SoftDevice(root);
      const algorithm = keySpecs[spec].signing[0];
      assert.ok(algorithm !== undefined);
      const again = await second.signDigest(key, algorithm, digestOf(algorithm, publicKey, message));
      assert.ok(isGood(spec, algorithm, publicKey, message, again));
      again[again.length - 1] = (again.at(-1) ?? 0) ^ 1;
      assert.ok(!isGood(spec, algorithm, publicKey, message, again));
    });

  it("decrypts what others encrypted with RSAES-OAEP, up to the longest plaintext", async () => {
    await using device = new SoftDevice(newRoot());
    const { key, publicKey } = await make(device, "RSA_2048", "encrypt");
    assert.ok(publicKey !== undefined);
    for (const [algorithm, oaepHash] of [
      ["RSAES_OAEP_SHA_1", "sha1"],
      ["RSAES_OAEP_SHA_256", "sha256"],
    ] as const)
      for (const length of [1, 32, maxEncryptBytes("RSA_2048", algorithm)]) {
        const plaintext = randomBytes(length);
        const options = { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash };
        const ciphertext = publicEncrypt(options, plaintext);
        using opened = await device.decrypt(key, algorithm, ciphertext);
        assert.ok(opened?.equals(plaintext));
        const other = algorithm === "RSAES_OAEP_SHA_1" ? "RSAES_OAEP_SHA_256" : "RSAES_OAEP_SHA_1";
        assert.equal(await device.decrypt(key, other, ciphertext), undefined);
      }
  });

  it("decrypts SM2 ciphertexts made by the other implementation, and nothing that was changed", async () => {
    await using device = new SoftDevice(newRoot());
    const { key, spki } = await make(device, "SM2", "encrypt");
    assert.ok(spki !== null);
    for (const length of [1, 33, 1024]) {
      const plaintext = randomBytes(length);
      const ciphertext = sm2Encrypt(spki.subarray(-65), plaintext, "asn1");
      using opened = await device.decrypt(key, "SM2PKE", ciphertext);
      assert.ok(opened?.equals(plaintext));
      if (length !== 33) continue;
      for (let at = 0; at < ciphertext.length; at++) {
        const changed = Buffer.from(ciphertext);
        changed[at] = (changed[at] ?? 0) ^ 1;
        assert.equal(await device.decrypt(key, "SM2PKE", changed), undefined, `byte ${at}`);
      }
      const longer = Buffer.concat([ciphertext, Buffer.of(0)]);
      assert.equal(await device.decrypt(key, "SM2PKE", longer), undefined);
    }
  });

  it("answers nothing for a ciphertext that is empty, of another length, or foreign", async () => {
    await using device = new SoftDevice(newRoot());
    const rsa: [SpecifiedDeviceKey, EncryptionAlgorithmName] = [
      (await make(device, "RSA_2048", "encrypt")).key,
      "RSAES_OAEP_SHA_256",
    ];
    const sm2: [SpecifiedDeviceKey, EncryptionAlgorithmName] = [(await make(device, "SM2", "encrypt")).key, "SM2PKE"];
    for (const [key, algorithm] of [rsa, sm2])
      for (const length of [0, 1, 255, 256, 257, 512, 4096])
        assert.equal(await device.decrypt(key, algorithm, randomBytes(length)), undefined);
  });

  it("makes MACs that node:crypto makes of the same key, for every MAC spec", async () => {
    for (const spec of macSpecs) {
      const given = SecretBuffer.random(keySpecs[spec].keyBytes);
      await using device = new SoftDevice(newRoot());
      const { key, spki } = await make(device, spec, "mac");
      assert.equal(spki, null);
      const algorithm = keySpecs[spec].macs[0];
      assert.ok(algorithm !== undefined);
      const message = randomBytes(200);
      const mac = await device.mac(key, algorithm, message);
      assert.equal(mac.length, macAlgorithms[algorithm].bytes);
      assert.deepEqual(await device.mac(key, algorithm, message), mac);
      assert.notDeepEqual(await device.mac(key, algorithm, randomBytes(200)), mac);
      const foreign = given.expose((bytes) => createHmac(macAlgorithms[algorithm].hash, bytes).update(message));
      assert.notDeepEqual(foreign.digest(), mac);
    }
  });

  it("refuses material of another key, version, suite, spec or usage, and of another root", async () => {
    const root = newRoot();
    await using device = new SoftDevice(root);
    const { key } = await make(device, "RSA_2048", "sign");
    const digest = randomBytes(32);
    for (const wrong of [
      { keyId: randomUUID() },
      { version: 2 },
      { suite: "sm" as const },
      { spec: "RSA_3072" as const },
    ])
      await assert.rejects(device.signDigest({ ...key, ...wrong }, "RSASSA_PSS_SHA_256", digest), {
        code: "KEY_DAMAGED",
      });
    await assert.rejects(device.decrypt({ ...key, usage: "encrypt" }, "RSAES_OAEP_SHA_1", randomBytes(256)), {
      code: "KEY_DAMAGED",
    });
    const { keyId, version, suite, material } = key;
    await assert.rejects(async () => device.boxSecretToSeal({ keyId, version, suite, material }), {
      code: "KEY_DAMAGED",
    });
    await using foreign = new SoftDevice(newRoot());
    await assert.rejects(foreign.signDigest(key, "RSASSA_PSS_SHA_256", digest), { code: "KEY_DAMAGED" });
  });

  it("refuses a usage, an algorithm and a digest length that are not the key's", async () => {
    await using device = new SoftDevice(newRoot());
    const signing = (await make(device, "ECC_NIST_P256", "sign")).key;
    const mac = (await make(device, "HMAC_256", "mac")).key;
    await assert.rejects(device.decrypt(signing, "RSAES_OAEP_SHA_1", randomBytes(256)), { code: "DEVICE_UNSUPPORTED" });
    await assert.rejects(device.signDigest(mac, "ECDSA_SHA_256", randomBytes(32)), { code: "DEVICE_UNSUPPORTED" });
    await assert.rejects(async () => device.mac(mac, "HMAC_SHA_512", Buffer.of(1)), { code: "DEVICE_UNSUPPORTED" });
    await assert.rejects(async () => device.mac(signing, "HMAC_SHA_256", Buffer.of(1)), { code: "DEVICE_UNSUPPORTED" });
    await assert.rejects(device.signDigest(signing, "ECDSA_SHA_384", randomBytes(48)), RangeError);
    for (const length of [0, 20, 31, 33, 64])
      await assert.rejects(device.signDigest(signing, "ECDSA_SHA_256", randomBytes(length)), RangeError);
  });

  it("serves many callers at once, also while the key is opened for the first time", async () => {
    await using device = new SoftDevice(newRoot());
    const { key, publicKey } = await make(device, "RSA_2048", "sign");
    assert.ok(publicKey !== undefined);
    const message = randomBytes(10);
    const digest = createHash("sha256").update(message).digest();
    const signatures = await Promise.all(
      Array.from({ length: 100 }, () => device.signDigest(key, "RSASSA_PKCS1_V1_5_SHA_256", digest)),
    );
    for (const signature of signatures) assert.ok(verify("sha256", message, publicKey, signature));
  });

  it("answers nothing once locked, and drops a destroyed key", async () => {
    const device = new SoftDevice(newRoot());
    const { key } = await make(device, "ECC_SECG_P256K1", "sign");
    await device.signDigest(key, "ECDSA_SHA_256", randomBytes(32));
    await device.destroyKey(key);
    const damaged = { ...key, material: Buffer.alloc(key.material.length) };
    await assert.rejects(device.signDigest(damaged, "ECDSA_SHA_256", randomBytes(32)), { code: "KEY_DAMAGED" });
    await device.lock();
    await assert.rejects(device.signDigest(key, "ECDSA_SHA_256", randomBytes(32)), { code: "DEVICE_LOCKED" });
    await assert.rejects(make(device, "ECC_SECG_P256K1", "sign"), { code: "DEVICE_LOCKED" });
  });

  it("makes private keys in PKCS#8 that their public keys belong to, new each time", async () => {
    const { generateKeyPairOf } = await import("../../../src/crypto/key-generation.ts");
    for (const spec of signingSpecs.filter((each) => each !== "RSA_3072" && each !== "RSA_4096")) {
      const { pkcs8, spki } = await generateKeyPairOf(spec);
      using secret = pkcs8;
      const derived = secret.expose((key) => createPublicKey(createPrivateKey({ key, format: "der", type: "pkcs8" })));
      assert.deepEqual(derived.export({ format: "der", type: "spki" }), spki, spec);
      const second = await generateKeyPairOf(spec);
      second.pkcs8[Symbol.dispose]();
      assert.notDeepEqual(second.spki, spki);
    }
  });
});
