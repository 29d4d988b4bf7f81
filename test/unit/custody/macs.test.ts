import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { keySpecs, type MacSpecName, macAlgorithms } from "../../../src/crypto/key-specs.ts";
import type { MacAlgorithm } from "../../../src/custody/contract/cryptography.ts";
import type { Caller } from "../../../src/custody/service.ts";
import { keyForUser } from "./granted-user.ts";
import { TestKeyManager } from "./key-manager.ts";

const message = Buffer.from("a message");
const algorithmOf: Readonly<Record<MacSpecName, MacAlgorithm>> = {
  HMAC_224: "HMAC_SHA_224",
  HMAC_256: "HMAC_SHA_256",
  HMAC_384: "HMAC_SHA_384",
  HMAC_512: "HMAC_SHA_512",
  HMAC_SM3: "HMAC_SM3",
};
const specs = Object.keys(algorithmOf) as MacSpecName[];

describe("MAC keys", () => {
  let km: TestKeyManager;
  const keys = new Map<MacSpecName, { keyId: string; user: Caller }>();
  const keyOf = (spec: MacSpecName) => {
    const key = keys.get(spec);
    assert.ok(key !== undefined);
    return key;
  };
  before(async () => {
    km = await TestKeyManager.make();
    for (const spec of specs) keys.set(spec, await keyForUser(km, { spec }, ["GenerateMac", "VerifyMac"]));
  });
  after(() => km.end());

  it("are of usage mac by their spec alone, of its suite, and are not rotated", async () => {
    for (const [spec, { keyId }] of keys) {
      const key = await km.custody.keys.describe(km.admin, keyId);
      assert.deepEqual([key.usage, key.suite, key.materialId], ["mac", keySpecs[spec].suite, null]);
      await assert.rejects(km.custody.keys.rotate(km.admin, keyId), { code: "KEY_UNSUPPORTED" });
    }
  });

  it("make MACs of their hash's length that they verify after a restart", async () => {
    const made: { spec: MacSpecName; mac: Buffer }[] = [];
    for (const [spec, { keyId, user }] of keys) {
      const { mac } = await km.custody.macs.generate(user, { key: keyId, message, algorithm: algorithmOf[spec] });
      assert.equal(mac.length, macAlgorithms[algorithmOf[spec]].bytes);
      made.push({ spec, mac });
    }
    await km.restart();
    for (const { spec, mac } of made) {
      const { keyId, user } = keyOf(spec);
      const input = { key: keyId, message, algorithm: algorithmOf[spec], mac };
      assert.deepEqual(await km.custody.macs.verify(user, input), { keyId });
    }
  });

  it("refuse a MAC with any bit changed, a cut one, a longer one, and one of another message or key", async () => {
    const { keyId, user } = keyOf("HMAC_256");
    const input = { key: keyId, message, algorithm: "HMAC_SHA_256" } as const;
    const { mac } = await km.custody.macs.generate(user, input);
    const refused = { code: "MAC_INVALID", exitCode: 3, status: 400 };
    for (let at = 0; at < mac.length * 8; at += 5) {
      const changed = Buffer.from(mac);
      changed[at >> 3] = (changed[at >> 3] ?? 0) ^ (1 << (at & 7));
      await assert.rejects(km.custody.macs.verify(user, { ...input, mac: changed }), refused);
    }
    for (const wrong of [mac.subarray(1), Buffer.concat([mac, Buffer.of(0)]), randomBytes(32), randomBytes(6144)])
      await assert.rejects(km.custody.macs.verify(user, { ...input, mac: wrong }), refused);
    await assert.rejects(km.custody.macs.verify(user, { ...input, message: Buffer.of(1), mac }), refused);
    const other = await keyForUser(km, { spec: "HMAC_256" }, ["VerifyMac"]);
    await assert.rejects(km.custody.macs.verify(other.user, { ...input, key: other.keyId, mac }), refused);
  });

  it("refuse every algorithm but the one of their spec", async () => {
    for (const [spec, { keyId, user }] of keys)
      for (const algorithm of Object.values(algorithmOf)) {
        if (algorithm === algorithmOf[spec]) continue;
        await assert.rejects(km.custody.macs.generate(user, { key: keyId, message, algorithm }), {
          code: "ALGORITHM_INVALID",
          message: `Algorithm ${algorithm} is incompatible with key spec ${spec}.`,
        });
      }
  });

  it("refuse messages and MACs out of bounds", async () => {
    const { keyId, user } = keyOf("HMAC_SM3");
    const input = { key: keyId, algorithm: "HMAC_SM3" } as const;
    for (const length of [0, 4097]) {
      const bytes = Buffer.alloc(length);
      await assert.rejects(km.custody.macs.generate(user, { ...input, message: bytes }), { code: "INPUT_INVALID" });
      await assert.rejects(km.custody.macs.verify(user, { ...input, message: bytes, mac: randomBytes(32) }), {
        code: "INPUT_INVALID",
      });
    }
    for (const length of [0, 6145])
      await assert.rejects(km.custody.macs.verify(user, { ...input, message, mac: Buffer.alloc(length) }), {
        code: "INPUT_INVALID",
      });
  });

  it("are the only ones that make MACs, and make nothing else", async () => {
    const { custody, admin } = km;
    const { keyId, user } = keyOf("HMAC_256");
    const asAnyUse = async (key: string) => {
      const policy = {
        Version: "2012-10-17",
        Statement: [
          { Effect: "Allow", Principal: { AWS: admin.principal }, Action: "kms:PutKeyPolicy", Resource: "*" },
          { Effect: "Allow", Principal: { AWS: user.principal }, Action: "kms:*", Resource: "*" },
        ],
      };
      await custody.policies.put(admin, key, JSON.stringify(policy));
    };
    const symmetric = (await custody.keys.create(admin, {})).keyId;
    const signing = (await custody.keys.create(admin, { spec: "SM2", usage: "sign" })).keyId;
    for (const key of [keyId, symmetric, signing]) await asAnyUse(key);
    const usageInvalid = { code: "KEY_USAGE_INVALID" };
    for (const key of [symmetric, signing])
      await assert.rejects(custody.macs.generate(user, { key, message, algorithm: "HMAC_SHA_256" }), usageInvalid);
    await assert.rejects(custody.data.generateDataKeyWithoutPlaintext(user, { key: keyId, context: {} }), usageInvalid);
    await assert.rejects(
      custody.signing.sign(user, { key: keyId, message, messageType: "raw", algorithm: "ECDSA_SHA_256" }),
      usageInvalid,
    );
    await assert.rejects(custody.signing.publicKey(user, keyId), { code: "KEY_UNSUPPORTED" });
    await assert.rejects(
      custody.asymmetric.decrypt(user, { key: keyId, algorithm: "RSAES_OAEP_SHA_1", ciphertext: randomBytes(256) }),
      usageInvalid,
    );
  });

  it("refuse when disabled or waiting for deletion, and whoever was granted nothing", async () => {
    const { custody, admin } = km;
    const { keyId, user } = await keyForUser(km, { spec: "HMAC_384" }, ["GenerateMac", "VerifyMac"]);
    const input = { key: keyId, message, algorithm: "HMAC_SHA_384" } as const;
    const { mac } = await custody.macs.generate(user, input);
    for (const caller of [admin, keyOf("HMAC_256").user]) {
      await assert.rejects(custody.macs.generate(caller, input), { code: "ACCESS_DENIED" });
      await assert.rejects(custody.macs.verify(caller, { ...input, mac }), { code: "ACCESS_DENIED" });
    }
    await custody.keys.disable(admin, keyId);
    await assert.rejects(custody.macs.generate(user, input), { code: "KEY_DISABLED" });
    await assert.rejects(custody.macs.verify(user, { ...input, mac }), { code: "KEY_DISABLED" });
    await custody.keys.scheduleDeletion(admin, keyId, 7);
    await assert.rejects(custody.macs.generate(user, input), { code: "KEY_STATE_INVALID" });
    await assert.rejects(custody.macs.verify(user, { ...input, mac }), { code: "KEY_STATE_INVALID" });
  });
});
