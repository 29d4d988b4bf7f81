import assert from "node:assert/strict";
import { createHash, createPublicKey, randomBytes, verify } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { keccak256 } from "../../../src/crypto/keccak.ts";
import { type KeyPairSpecName, keySpecs, signingAlgorithms } from "../../../src/crypto/key-specs.ts";
import { sm2Digest, sm2Verify } from "../../../src/crypto/sm2.ts";
import type { MessageToSign, SigningAlgorithm } from "../../../src/custody/contract/cryptography.ts";
import type { Caller } from "../../../src/custody/service.ts";
import { keyForUser } from "./granted-user.ts";
import { TestKeyManager } from "./key-manager.ts";

const operations = ["Sign", "Verify", "GetPublicKey"] as const;
const message = Buffer.from("a message");
/** One algorithm of each kind of key, quick to make. */
const samples: readonly (readonly [KeyPairSpecName, SigningAlgorithm])[] = [
  ["RSA_2048", "RSASSA_PSS_SHA_384"],
  ["RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256"],
  ["ECC_NIST_P256", "ECDSA_SHA_256"],
  ["ECC_NIST_P384", "ECDSA_SHA_384"],
  ["ECC_NIST_P521", "ECDSA_SHA_512"],
  ["ECC_SECG_P256K1", "ECDSA_SHA_256"],
  ["SM2", "SM2DSA"],
];

function raw(key: string, algorithm: SigningAlgorithm): MessageToSign {
  return { key, message, messageType: "raw", algorithm };
}

describe("signing keys", () => {
  let km: TestKeyManager;
  const keys = new Map<KeyPairSpecName, { keyId: string; user: Caller }>();
  const keyOf = (spec: KeyPairSpecName) => {
    const key = keys.get(spec);
    assert.ok(key !== undefined);
    return key;
  };
  before(async () => {
    km = await TestKeyManager.make();
    for (const [spec] of samples)
      if (!keys.has(spec)) keys.set(spec, await keyForUser(km, { spec, usage: "sign" }, operations));
  });
  after(() => km.end());

  it("are of their spec's suite, have one version and no material id, and are not rotated", async () => {
    for (const [spec, { keyId }] of keys) {
      const key = await km.custody.keys.describe(km.admin, keyId);
      assert.equal(key.suite, keySpecs[spec].suite);
      assert.equal(key.currentVersion, 1);
      assert.equal(key.materialId, null);
      await assert.rejects(km.custody.keys.rotate(km.admin, keyId), { code: "KEY_UNSUPPORTED" });
    }
  });

  it("sign messages that they verify, also after a restart, and as digests", async () => {
    const made: { keyId: string; user: Caller; algorithm: SigningAlgorithm; signature: Buffer }[] = [];
    for (const [spec, algorithm] of samples) {
      const { keyId, user } = keyOf(spec);
      const { signature, ...answer } = await km.custody.signing.sign(user, raw(keyId, algorithm));
      assert.deepEqual(answer, { keyId });
      made.push({ keyId, user, algorithm, signature });
    }
    await km.restart();
    for (const { keyId, user, algorithm, signature } of made) {
      assert.deepEqual(await km.custody.signing.verify(user, { ...raw(keyId, algorithm), signature }), { keyId });
      const { spki } = await km.custody.signing.publicKey(user, keyId);
      const digest =
        algorithm === "SM2DSA"
          ? sm2Digest(spki.subarray(-65), message)
          : createHash(signingAlgorithms[algorithm].hash).update(message).digest();
      const asDigest = { key: keyId, message: digest, messageType: "digest", algorithm } as const;
      await km.custody.signing.verify(user, { ...asDigest, signature });
      const ofDigest = await km.custody.signing.sign(user, asDigest);
      await km.custody.signing.verify(user, { ...raw(keyId, algorithm), signature: ofDigest.signature });
    }
  });

  it("give public keys with which others verify", async () => {
    for (const spec of ["RSA_2048", "ECC_NIST_P521"] as const) {
      const { keyId, user } = keyOf(spec);
      const algorithm = spec === "RSA_2048" ? "RSASSA_PKCS1_V1_5_SHA_512" : "ECDSA_SHA_512";
      const { signature } = await km.custody.signing.sign(user, raw(keyId, algorithm));
      const { spki, ...described } = await km.custody.signing.publicKey(user, keyId);
      const { arn } = await km.custody.keys.describe(km.admin, keyId);
      assert.deepEqual(described, { keyId, arn, spec, usage: "sign" });
      assert.ok(verify("sha512", message, createPublicKey({ key: spki, format: "der", type: "spki" }), signature));
    }
    const { keyId, user } = keyOf("SM2");
    const { signature } = await km.custody.signing.sign(user, raw(keyId, "SM2DSA"));
    const { spki } = await km.custody.signing.publicKey(user, keyId);
    assert.ok(sm2Verify(spki.subarray(-65), message, signature, { form: "der" }));
    assert.ok(!sm2Verify(spki.subarray(-65), message, signature, { form: "der", userId: "" }));
  });

  it("sign a digest of an Ethereum transaction so that it recovers to the key's address", async () => {
    const { keyId, user } = keyOf("ECC_SECG_P256K1");
    const { spki } = await km.custody.signing.publicKey(user, keyId);
    const point = spki.subarray(-65);
    const addressOf = (publicKey: Uint8Array) => keccak256(publicKey.subarray(1)).subarray(12).toString("hex");
    const transaction = keccak256(Buffer.from("02f8…, a transaction's bytes"));
    const { signature } = await km.custody.signing.sign(user, {
      key: keyId,
      message: transaction,
      messageType: "digest",
      algorithm: "ECDSA_SHA_256",
    });
    const read = secp256k1.Signature.fromBytes(signature, "der");
    const low = read.hasHighS() ? new secp256k1.Signature(read.r, secp256k1.Point.Fn.neg(read.s)) : read;
    const recovered = [0, 1].map((bit) =>
      addressOf(low.addRecoveryBit(bit).recoverPublicKey(transaction).toBytes(false)),
    );
    assert.equal(recovered.filter((address) => address === addressOf(point)).length, 1);
  });

  it("refuse a changed message, a changed signature, another key's and a malformed one alike", async () => {
    for (const [spec, algorithm] of samples) {
      const { keyId, user } = keyOf(spec);
      const { signature } = await km.custody.signing.sign(user, raw(keyId, algorithm));
      const changed = Buffer.from(signature);
      changed[changed.length >> 1] = (changed[changed.length >> 1] ?? 0) ^ 4;
      const wrong = [changed, signature.subarray(1), Buffer.concat([signature, Buffer.of(0)]), randomBytes(64)];
      for (const each of [...wrong, Buffer.of(0x30, 0x00), Buffer.alloc(6144)])
        await assert.rejects(
          km.custody.signing.verify(user, { ...raw(keyId, algorithm), signature: each }),
          { code: "SIGNATURE_INVALID", exitCode: 3, status: 400 },
          spec,
        );
      const other = { ...raw(keyId, algorithm), message: Buffer.from("another message"), signature };
      await assert.rejects(km.custody.signing.verify(user, other), { code: "SIGNATURE_INVALID" });
    }
    const { keyId, user } = keyOf("ECC_NIST_P256");
    const foreign = await keyForUser(km, { spec: "ECC_NIST_P256", usage: "sign" }, operations);
    const { signature } = await km.custody.signing.sign(foreign.user, raw(foreign.keyId, "ECDSA_SHA_256"));
    await assert.rejects(km.custody.signing.verify(user, { ...raw(keyId, "ECDSA_SHA_256"), signature }), {
      code: "SIGNATURE_INVALID",
    });
  });

  it("refuse every algorithm that is not of their spec", async () => {
    for (const [spec, { keyId, user }] of keys)
      for (const algorithm of Object.keys(signingAlgorithms) as SigningAlgorithm[]) {
        if ((keySpecs[spec].signing as readonly string[]).includes(algorithm)) continue;
        const expected = {
          code: "ALGORITHM_INVALID",
          exitCode: 2,
          message: `Algorithm ${algorithm} is incompatible with key spec ${spec}.`,
        };
        await assert.rejects(km.custody.signing.sign(user, raw(keyId, algorithm)), expected);
        const signature = randomBytes(64);
        await assert.rejects(km.custody.signing.verify(user, { ...raw(keyId, algorithm), signature }), expected);
      }
  });

  it("refuse a digest of another length than the algorithm's, and messages and signatures out of bounds", async () => {
    for (const [spec, algorithm] of samples) {
      const { keyId, user } = keyOf(spec);
      const { digestBytes } = signingAlgorithms[algorithm];
      for (const length of [1, 20, digestBytes - 1, digestBytes + 1, 4096])
        await assert.rejects(
          km.custody.signing.sign(user, {
            key: keyId,
            message: Buffer.alloc(length),
            messageType: "digest",
            algorithm,
          }),
          { code: "INPUT_INVALID", message: `Digest is invalid length for algorithm ${algorithm}.` },
        );
    }
    const { keyId, user } = keyOf("ECC_NIST_P256");
    const asked = raw(keyId, "ECDSA_SHA_256");
    for (const length of [0, 4097])
      await assert.rejects(km.custody.signing.sign(user, { ...asked, message: Buffer.alloc(length) }), {
        code: "INPUT_INVALID",
      });
    for (const length of [0, 6145])
      await assert.rejects(km.custody.signing.verify(user, { ...asked, signature: Buffer.alloc(length) }), {
        code: "INPUT_INVALID",
      });
  });

  it("are the only ones that sign: keys of other usages refuse, and so does a name of no key", async () => {
    const { custody } = km;
    const signingOnes = await keyForUser(km, { spec: "ECC_NIST_P256", usage: "sign" }, operations);
    await assert.rejects(custody.signing.sign(signingOnes.user, raw("alias/nothing", "ECDSA_SHA_256")), {
      code: "KEY_NOT_FOUND",
    });
    for (const [input, granted] of [
      [{ spec: "AES_256" }, ["Encrypt"]],
      [{ spec: "HMAC_256" }, ["GenerateMac"]],
      [{ spec: "RSA_2048", usage: "encrypt" }, ["Encrypt"]],
    ] as const) {
      const { keyId } = await keyForUser(km, input, granted);
      const policy = {
        Version: "2012-10-17",
        Statement: [
          { Effect: "Allow", Principal: { AWS: km.admin.principal }, Action: "kms:PutKeyPolicy", Resource: "*" },
          {
            Effect: "Allow",
            Principal: { AWS: signingOnes.user.principal },
            Action: ["kms:Sign", "kms:Verify", "kms:GetPublicKey"],
            Resource: "*",
          },
        ],
      };
      await custody.policies.put(km.admin, keyId, JSON.stringify(policy));
      for (const algorithm of ["ECDSA_SHA_256", "RSASSA_PSS_SHA_256"] as const)
        await assert.rejects(custody.signing.sign(signingOnes.user, raw(keyId, algorithm)), {
          code: "KEY_USAGE_INVALID",
          exitCode: 2,
        });
      if (input.spec !== "RSA_2048")
        await assert.rejects(custody.signing.publicKey(signingOnes.user, keyId), { code: "KEY_UNSUPPORTED" });
    }
  });

  it("refuse when disabled or waiting for deletion, and whoever was granted nothing", async () => {
    const { custody, admin } = km;
    const { keyId, user } = await keyForUser(km, { spec: "ECC_NIST_P256", usage: "sign" }, operations);
    const asked = raw(keyId, "ECDSA_SHA_256");
    const { signature } = await custody.signing.sign(user, asked);
    const stranger = await km.user("no-signer", "auditor");
    for (const caller of [stranger, admin]) {
      await assert.rejects(custody.signing.sign(caller, asked), { code: "ACCESS_DENIED" });
      await assert.rejects(custody.signing.verify(caller, { ...asked, signature }), { code: "ACCESS_DENIED" });
    }
    const uses = () => [
      custody.signing.sign(user, asked),
      custody.signing.verify(user, { ...asked, signature }),
      custody.signing.publicKey(user, keyId),
    ];
    await custody.keys.disable(admin, keyId);
    for (const use of uses()) await assert.rejects(use, { code: "KEY_DISABLED" });
    await custody.keys.enable(admin, keyId);
    await custody.signing.sign(user, asked);
    await custody.keys.scheduleDeletion(admin, keyId, 7);
    for (const use of uses()) await assert.rejects(use, { code: "KEY_STATE_INVALID" });
    km.nowMs += 8 * 24 * 60 * 60 * 1000;
    await custody.keys.destroy(admin, keyId);
    for (const use of uses()) await assert.rejects(use, { code: "KEY_NOT_FOUND" });
  });

  it("are the key that the answer names, also while an alias moves and the state changes under the request", async () => {
    const { custody, admin } = km;
    const { keyId: other, user } = await keyForUser(km, { spec: "RSA_2048", usage: "sign" }, operations);
    const { keyId } = await custody.keys.create(admin, { spec: "RSA_2048", usage: "sign", alias: "alias/moves" });
    await custody.grants.create(admin, keyId, { grantee: user.principal, operations });
    const asked = raw("alias/moves", "RSASSA_PSS_SHA_256");
    for (let round = 0; round < 6; round++) {
      const signing = Array.from({ length: 8 }, () => custody.signing.sign(user, asked));
      await custody.aliases.update(admin, "alias/moves", round % 2 === 0 ? other : keyId);
      for (const { keyId: signer, signature } of await Promise.all(signing))
        await custody.signing.verify(user, { ...asked, key: signer, signature });
    }
  });

  it("put each use on record, with algorithm and message type and without the message", async () => {
    const { custody, admin } = km;
    const { keyId, user } = keyOf("ECC_NIST_P256");
    const { sequence } = await custody.audit.checkpoint(admin);
    await custody.signing.sign(user, raw(keyId, "ECDSA_SHA_256"));
    await assert.rejects(custody.signing.sign(user, raw(keyId, "SM2DSA")));
    const records = await custody.audit.read(admin, { after: sequence, limit: 100 });
    const [done, refused] = records.filter((each) => each.action === "kms:Sign");
    assert.deepEqual([done?.result, done?.key], ["done", keyId]);
    assert.deepEqual(done?.detail, { algorithm: "ECDSA_SHA_256", messageType: "raw" });
    assert.deepEqual([refused?.result, refused?.error], ["refused", "ALGORITHM_INVALID"]);
    assert.ok(!JSON.stringify(records).includes(message.toString("base64")));
  });
});
