import assert from "node:assert/strict";
import { constants, createPrivateKey, createPublicKey, publicEncrypt, randomBytes } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, it } from "node:test";
import { keySpecs, maxEncryptBytes } from "../../../src/crypto/key-specs.ts";
import { openBox } from "../../../src/crypto/sealed-box.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { sm2Encrypt } from "../../../src/crypto/sm2-encryption.ts";
import type { AsymmetricEncryptionAlgorithm } from "../../../src/custody/contract/cryptography.ts";
import { dataFiles } from "../../../src/custody/data-files.ts";
import type { Caller, KeySpec } from "../../../src/custody/service.ts";
import type { KeyRecord } from "../../../src/custody/state/records.ts";
import { KeySlots } from "../../../src/devices/key-slots.ts";
import { keyForUser } from "./granted-user.ts";
import { TestKeyManager } from "./key-manager.ts";

const operations = ["Encrypt", "Decrypt", "GetPublicKey"] as const;
const samples: readonly (readonly [AsymmetricEncryptionAlgorithm, number, "RSA_2048" | "SM2"])[] = [
  ["RSAES_OAEP_SHA_1", 214, "RSA_2048"],
  ["RSAES_OAEP_SHA_256", 190, "RSA_2048"],
  ["SM2PKE", 1024, "SM2"],
];

describe("key pairs for encryption", () => {
  let km: TestKeyManager;
  const keys = new Map<"RSA_2048" | "SM2", { keyId: string; user: Caller }>();
  const keyOf = (spec: "RSA_2048" | "SM2") => {
    const key = keys.get(spec);
    assert.ok(key !== undefined);
    return key;
  };
  before(async () => {
    km = await TestKeyManager.make();
    for (const spec of ["RSA_2048", "SM2"] as const)
      keys.set(spec, await keyForUser(km, { spec, usage: "encrypt" }, operations));
  });
  after(() => km.end());

  it("decrypt what they encrypted, from one byte to the longest plaintext, and not one byte more", async () => {
    for (const [algorithm, most, spec] of samples) {
      const { keyId, user } = keyOf(spec);
      for (const length of [1, most]) {
        using plaintext = SecretBuffer.random(length);
        const { ciphertext } = await km.custody.asymmetric.encrypt(user, { key: keyId, algorithm, plaintext });
        const opened = await km.custody.asymmetric.decrypt(user, { key: keyId, algorithm, ciphertext });
        using again = opened.plaintext;
        assert.ok(again.equals(plaintext), `${algorithm} ${length}`);
      }
      using tooLong = SecretBuffer.random(most + 1);
      await assert.rejects(km.custody.asymmetric.encrypt(user, { key: keyId, algorithm, plaintext: tooLong }), {
        code: "INPUT_INVALID",
        message: `Algorithm ${algorithm} and key spec ${spec} cannot encrypt data larger than ${most} bytes.`,
      });
    }
  });

  it("hold as many bytes as AWS KMS says of each RSA size", () => {
    for (const [spec, sha1, sha256] of [
      ["RSA_2048", 214, 190],
      ["RSA_3072", 342, 318],
      ["RSA_4096", 470, 446],
    ] as const)
      assert.deepEqual(
        [maxEncryptBytes(spec, "RSAES_OAEP_SHA_1"), maxEncryptBytes(spec, "RSAES_OAEP_SHA_256")],
        [sha1, sha256],
      );
  });

  it("decrypt what others encrypted to their public key, after a restart", async () => {
    const plaintext = randomBytes(32);
    const rsa = keyOf("RSA_2048");
    const { spki } = await km.custody.signing.publicKey(rsa.user, rsa.keyId);
    const key = createPublicKey({ key: spki, format: "der", type: "spki" });
    const options = { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" };
    const sm2 = keyOf("SM2");
    const point = (await km.custody.signing.publicKey(sm2.user, sm2.keyId)).spki.subarray(-65);
    await km.restart();
    for (const [{ keyId, user }, algorithm, ciphertext] of [
      [rsa, "RSAES_OAEP_SHA_256", publicEncrypt(options, plaintext)],
      [sm2, "SM2PKE", sm2Encrypt(point, plaintext, "asn1")],
    ] as const) {
      const opened = await km.custody.asymmetric.decrypt(user, { key: keyId, algorithm, ciphertext });
      using again = opened.plaintext;
      assert.ok(again.equals(plaintext));
    }
  });

  it("refuse altered, cut and foreign ciphertexts with one and the same error", async () => {
    const refused = { code: "WRAP_REFUSED", exitCode: 3 };
    for (const [algorithm, , spec] of samples) {
      const { keyId, user } = keyOf(spec);
      using plaintext = SecretBuffer.random(32);
      const { ciphertext } = await km.custody.asymmetric.encrypt(user, { key: keyId, algorithm, plaintext });
      const decrypt = (bytes: Buffer) =>
        km.custody.asymmetric.decrypt(user, { key: keyId, algorithm, ciphertext: bytes });
      for (const at of [0, 1, 20, ciphertext.length - 1]) {
        const changed = Buffer.from(ciphertext);
        changed[at] = (changed[at] ?? 0) ^ 1;
        await assert.rejects(decrypt(changed), refused, `${algorithm} byte ${at}`);
      }
      for (const wrong of [ciphertext.subarray(1), Buffer.concat([ciphertext, Buffer.of(0)]), randomBytes(6144)])
        await assert.rejects(decrypt(wrong), refused);
      for (const length of [0, 6145]) await assert.rejects(decrypt(Buffer.alloc(length)), { code: "INPUT_INVALID" });
    }
    const { keyId, user } = keyOf("RSA_2048");
    using plaintext = SecretBuffer.random(32);
    const asked = { key: keyId, algorithm: "RSAES_OAEP_SHA_1", plaintext } as const;
    const { ciphertext } = await km.custody.asymmetric.encrypt(user, asked);
    await assert.rejects(
      km.custody.asymmetric.decrypt(user, { key: keyId, algorithm: "RSAES_OAEP_SHA_256", ciphertext }),
      refused,
    );
  });

  it("decrypt while the state changes under the request", async () => {
    const { keyId, user } = keyOf("RSA_2048");
    const input = { key: keyId, algorithm: "RSAES_OAEP_SHA_256" } as const;
    using plaintext = SecretBuffer.random(32);
    const { ciphertext } = await km.custody.asymmetric.encrypt(user, { ...input, plaintext });
    const opening = Array.from({ length: 8 }, () => km.custody.asymmetric.decrypt(user, { ...input, ciphertext }));
    for (let i = 0; i < 5; i++) await km.custody.keys.updateDescription(km.admin, keyId, `change ${i}`);
    for (const opened of await Promise.all(opening)) {
      using again = opened.plaintext;
      assert.ok(again.equals(plaintext));
    }
  });

  it("take no context: they wrap no data keys, and are not rotated", async () => {
    const { custody, admin } = km;
    for (const [spec, { keyId, user }] of keys) {
      const expected = {
        code: "ALGORITHM_INVALID",
        message: `Algorithm SYMMETRIC_DEFAULT is incompatible with key spec ${spec}.`,
      };
      using plaintext = SecretBuffer.random(16);
      await assert.rejects(custody.data.wrap(user, { key: keyId, context: {}, plaintext }), expected);
      await assert.rejects(custody.keys.rotate(admin, keyId), { code: "KEY_UNSUPPORTED" });
    }
  });

  it("refuse the other kind's algorithm, and keys of other kinds refuse theirs", async () => {
    const { custody } = km;
    using plaintext = SecretBuffer.random(16);
    for (const [key, algorithm] of [
      [keyOf("RSA_2048"), "SM2PKE"],
      [keyOf("SM2"), "RSAES_OAEP_SHA_256"],
      [await keyForUser(km, {}, operations.slice(0, 2)), "RSAES_OAEP_SHA_256"],
    ] as const) {
      const input = { key: key.keyId, algorithm };
      await assert.rejects(custody.asymmetric.encrypt(key.user, { ...input, plaintext }), {
        code: "ALGORITHM_INVALID",
      });
      await assert.rejects(custody.asymmetric.decrypt(key.user, { ...input, ciphertext: randomBytes(256) }), {
        code: "ALGORITHM_INVALID",
      });
    }
  });

  it("refuse when disabled or waiting for deletion, and whoever was granted nothing", async () => {
    const { custody, admin } = km;
    const { keyId, user } = await keyForUser(km, { spec: "SM2", usage: "encrypt" }, operations);
    using plaintext = SecretBuffer.random(16);
    const input = { key: keyId, algorithm: "SM2PKE" } as const;
    const { ciphertext } = await custody.asymmetric.encrypt(user, { ...input, plaintext });
    const uses = (caller: Caller) => [
      custody.asymmetric.encrypt(caller, { ...input, plaintext }),
      custody.asymmetric.decrypt(caller, { ...input, ciphertext }),
    ];
    for (const caller of [admin, keyOf("SM2").user])
      for (const use of uses(caller)) await assert.rejects(use, { code: "ACCESS_DENIED" });
    await custody.keys.disable(admin, keyId);
    for (const use of uses(user)) await assert.rejects(use, { code: "KEY_DISABLED" });
    await custody.keys.scheduleDeletion(admin, keyId, 7);
    for (const use of uses(user)) await assert.rejects(use, { code: "KEY_STATE_INVALID" });
  });
});

describe("data key pairs", () => {
  let km: TestKeyManager;
  let keyId: string;
  let user: Caller;
  const context = { node: "pairs" };
  before(async () => {
    km = await TestKeyManager.make();
    const granted = ["Decrypt", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"] as const;
    ({ keyId, user } = await keyForUser(km, {}, granted));
  });
  after(() => km.end());

  it("are the same in the clear and unwrapped, under the same context only", async () => {
    for (const spec of ["RSA_2048", "ECC_NIST_P256", "ECC_NIST_P521", "ECC_SECG_P256K1", "SM2"] as const) {
      const input = { key: keyId, context, spec, withPlaintext: true };
      const pair = await km.custody.asymmetric.generateDataKeyPair(user, input);
      assert.ok(pair.privateKey !== undefined);
      using privateKey = pair.privateKey;
      const { plaintext } = await km.custody.data.unwrap(user, { wrapped: pair.wrapped, context });
      using unwrapped = plaintext;
      assert.ok(unwrapped.equals(privateKey));
      const derived = privateKey.expose((key) =>
        createPublicKey(createPrivateKey({ key, format: "der", type: "pkcs8" })),
      );
      assert.deepEqual(derived.export({ format: "der", type: "spki" }), pair.spki);
      await assert.rejects(km.custody.data.unwrap(user, { wrapped: pair.wrapped, context: {} }), {
        code: "WRAP_REFUSED",
      });
    }
  });

  it("come without plaintext when asked so, of the largest size too", async () => {
    const input = { key: keyId, context, spec: "RSA_4096", withPlaintext: false } as const;
    const pair = await km.custody.asymmetric.generateDataKeyPair(user, input);
    assert.equal(pair.privateKey, undefined);
    const { plaintext } = await km.custody.data.unwrap(user, { wrapped: pair.wrapped, context });
    using privateKey = plaintext;
    assert.ok(privateKey.byteLength > 2300 && privateKey.byteLength < 2500);
  });

  it("outlast changes of state that come while they are made", async () => {
    const input = { key: keyId, context, spec: "RSA_2048", withPlaintext: false } as const;
    const made = km.custody.asymmetric.generateDataKeyPair(user, input);
    for (let i = 0; i < 20; i++) await km.custody.keys.updateDescription(km.admin, keyId, `change ${i}`);
    const { wrapped } = await made;
    (await km.custody.data.unwrap(user, { wrapped, context })).plaintext[Symbol.dispose]();
  });

  it("are of the specs of key pairs, under symmetric keys, for whoever may", async () => {
    const { custody, admin } = km;
    for (const spec of Object.keys(keySpecs) as KeySpec[]) {
      if (keySpecs[spec].kind !== "symmetric" && keySpecs[spec].kind !== "mac") continue;
      const input = { key: keyId, context, spec, withPlaintext: true };
      await assert.rejects(custody.asymmetric.generateDataKeyPair(user, input), { code: "INPUT_INVALID" });
    }
    const input = { key: keyId, context, spec: "ECC_NIST_P256", withPlaintext: true } as const;
    await assert.rejects(custody.asymmetric.generateDataKeyPair(admin, input), { code: "ACCESS_DENIED" });
    await assert.rejects(
      custody.asymmetric.generateDataKeyPair(user, { ...input, context: { "strongroom:node": "x" } }),
      { code: "INPUT_INVALID" },
    );
    const mac = (await custody.keys.create(admin, { spec: "HMAC_256" })).keyId;
    const policy = {
      Version: "2012-10-17",
      Statement: [
        { Effect: "Allow", Principal: { AWS: admin.principal }, Action: "kms:PutKeyPolicy", Resource: "*" },
        { Effect: "Allow", Principal: { AWS: user.principal }, Action: "kms:*", Resource: "*" },
      ],
    };
    await custody.policies.put(admin, mac, JSON.stringify(policy));
    await assert.rejects(custody.asymmetric.generateDataKeyPair(user, { ...input, key: mac }), {
      code: "KEY_USAGE_INVALID",
    });
    await custody.keys.disable(admin, keyId);
    await assert.rejects(custody.asymmetric.generateDataKeyPair(user, input), { code: "KEY_DISABLED" });
    await custody.keys.enable(admin, keyId);
  });

  it("leave nothing of a private key in the data folder, nor do master key pairs and MAC keys", async () => {
    const { custody, admin } = km;
    const input = { key: keyId, context, spec: "RSA_2048", withPlaintext: true } as const;
    const pair = await custody.asymmetric.generateDataKeyPair(user, input);
    assert.ok(pair.privateKey !== undefined);
    const planted = [pair.privateKey];
    for (const [spec, usage] of [
      ["RSA_2048", "sign"],
      ["ECC_NIST_P384", "sign"],
      ["SM2", "encrypt"],
      ["HMAC_512", "mac"],
    ] as const)
      planted.push(await openedMaterial((await custody.keys.create(admin, { spec, usage })).keyId, spec, usage));
    await km.restart();
    const files = readdirSync(km.dataDir, { recursive: true, encoding: "utf8" })
      .map((name) => join(km.dataDir, name))
      .filter((path) => statSync(path).isFile());
    assert.ok(files.some((path) => path.endsWith(dataFiles.store)));
    for (const path of files) {
      const bytes = readFileSync(path);
      for (const secret of planted)
        assert.deepEqual(
          secret.expose((key) => partsFoundIn(bytes, key)),
          [],
          path,
        );
    }
    for (const secret of planted) secret[Symbol.dispose]();
  });

  /** The secret bytes that a key's row holds sealed, opened with the root key as the device does. */
  async function openedMaterial(id: string, spec: KeySpec, usage: "sign" | "encrypt" | "mac"): Promise<SecretBuffer> {
    const database = new DatabaseSync(join(km.dataDir, dataFiles.store), { readOnly: true });
    const row = database.prepare("SELECT body FROM state WHERE kind = 'key' AND id = ?").get(id);
    database.close();
    const record = JSON.parse(String(row?.body)) as KeyRecord;
    using root = await new KeySlots(join(km.dataDir, dataFiles.slots)).open(km.unlock);
    using sealing = root.derive("softDevice");
    const bound = { key: id, version: "1", suite: record.suite, spec, usage };
    return openBox(Buffer.from(record.versions[0]?.material ?? "", "base64"), "masterKey", sealing, bound);
  }
});

/** Where in the file, in the clear, as base64 or as hex, the parts of a secret are that its public half does not have. */
function partsFoundIn(file: Buffer, secret: Buffer): string[] {
  const found: string[] = [];
  const spki = isPkcs8(secret)
    ? createPublicKey(createPrivateKey({ key: secret, format: "der", type: "pkcs8" })).export({
        format: "der",
        type: "spki",
      })
    : Buffer.of();
  for (let at = 0; at + 12 <= secret.length; at += 3) {
    const part = secret.subarray(at, at + 12);
    if (spki.includes(part)) continue;
    for (const form of ["latin1", "base64", "hex"] as const)
      if (file.includes(part.toString(form), 0, "latin1")) found.push(`${form} from ${at}`);
  }
  return found;
}

function isPkcs8(secret: Buffer): boolean {
  return secret[0] === 0x30 && secret.length > 100;
}

describe("random bytes", () => {
  let km: TestKeyManager;
  before(async () => {
    km = await TestKeyManager.make();
  });
  after(() => km.end());

  it("come in the length asked for, new each time, and are refused out of bounds and to whoever may not", async () => {
    const { custody, admin } = km;
    for (const length of [1, 32, 1024]) {
      using bytes = await custody.asymmetric.generateRandom(admin, length);
      assert.equal(bytes.byteLength, length);
    }
    using one = await custody.asymmetric.generateRandom(admin, 32);
    using two = await custody.asymmetric.generateRandom(admin, 32);
    assert.ok(!one.equals(two));
    for (const length of [0, -1, 1025, 1.5, Number.NaN])
      await assert.rejects(custody.asymmetric.generateRandom(admin, length), { code: "INPUT_INVALID" });
    const auditor = await km.user("random-auditor", "auditor");
    await assert.rejects(custody.asymmetric.generateRandom(auditor, 16), { code: "ACCESS_DENIED" });
  });
});
