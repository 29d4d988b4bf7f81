import assert from "node:assert/strict";
import { hkdfSync, randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { openBox } from "../../../src/crypto/sealed-box.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import type { WrappingAlgorithm, WrappingKeySpec } from "../../../src/custody/contract/key-attributes.ts";
import type { Caller, KeyDescription } from "../../../src/custody/service.ts";
import { SoftDevice } from "../../../src/devices/soft.ts";
import { wrapMaterial, wrapPadded } from "./importing.ts";
import { TestKeyManager } from "./key-manager.ts";

const hourMs = 60 * 60 * 1000;
const dayMs = 24 * hourMs;

describe("imported key material", () => {
  let km: TestKeyManager;
  let user: Caller;
  before(async () => {
    km = await TestKeyManager.make();
    user = await km.user("iris", "key-user");
  });
  after(() => km.end());

  const external = (suite: "intl" | "sm" = "intl") => km.custody.keys.create(km.admin, { suite, origin: "external" });

  const begin = async (
    key: string,
    algorithm: WrappingAlgorithm = "RSAES_OAEP_SHA_256",
    wrappingKeySpec: WrappingKeySpec = "RSA_2048",
  ) => ({ algorithm, ...(await km.custody.imports.parameters(km.admin, { key, algorithm, wrappingKeySpec })) });

  type Begun = Awaited<ReturnType<typeof begin>>;

  const finish = (key: string, begun: Begun, material: Uint8Array, expiresAt: string | null = null) =>
    km.custody.imports.importMaterial(km.admin, {
      key,
      token: begun.token,
      wrapped: wrapMaterial(begun.spki, begun.algorithm, material),
      expiresAt,
    });

  const importInto = async (key: string, material: Uint8Array, expiresAt: string | null = null) =>
    finish(key, await begin(key), material, expiresAt);

  const seal = (key: string) => km.custody.data.generateDataKey(user, { key, context: { node: "n" } });

  const opens = async (wrapped: Buffer, expected: SecretBuffer) => {
    const { plaintext } = await km.custody.data.unwrap(user, { wrapped, context: { node: "n" } });
    using opened = plaintext;
    assert.ok(opened.equals(expected));
  };

  it("is waited for: a key without it is of no use, and says so", async () => {
    const key = await external();
    assert.equal(key.state, "pending-import");
    assert.deepEqual([key.currentVersion, key.materialId, key.expiresAt], [0, null, null]);
    await assert.rejects(seal(key.keyId), { code: "KEY_STATE_INVALID", key: key.arn, state: "pending-import" });
    for (const attempt of [km.custody.keys.enable(km.admin, key.keyId), km.custody.keys.disable(km.admin, key.keyId)])
      await assert.rejects(attempt, { code: "KEY_STATE_INVALID", state: "pending-import" });
  });

  const ways: readonly (readonly [WrappingAlgorithm, WrappingKeySpec])[] = [
    ["RSAES_OAEP_SHA_1", "RSA_2048"],
    ["RSAES_OAEP_SHA_256", "RSA_3072"],
    ["RSA_AES_KEY_WRAP_SHA_1", "RSA_2048"],
    ["RSA_AES_KEY_WRAP_SHA_256", "RSA_2048"],
    ["SM2PKE", "SM2"],
  ];
  for (const [algorithm, spec] of ways)
    it(`comes wrapped by ${algorithm} under ${spec}, into AES_256 and SM4`, async () => {
      for (const [suite, bytes] of [["intl", 32] as const, ["sm", 16] as const]) {
        const { keyId } = await external(suite);
        const imported = await finish(keyId, await begin(keyId, algorithm, spec), randomBytes(bytes));
        assert.equal(imported.state, "enabled");
        assert.match(imported.materialId ?? "", /^[0-9a-f]{64}$/);
        const { wrapped, plaintext } = await seal(keyId);
        using expected = plaintext;
        await opens(wrapped, expected);
      }
    });

  it("alone determines the key: whoever has the bytes opens its boxes", async () => {
    const aes = await external();
    const material = randomBytes(32);
    await importInto(aes.keyId, material);
    const first = await seal(aes.keyId);
    using expected = first.plaintext;
    using itself = SecretBuffer.copyOf(material);
    using opened = openBox(first.wrapped, "dataKey", itself, { node: "n" });
    assert.ok(opened.equals(expected));

    const sm4 = await external("sm");
    const short = randomBytes(16);
    await importInto(sm4.keyId, short);
    const second = await seal(sm4.keyId);
    using expectedToo = second.plaintext;
    using derived = SecretBuffer.take(Buffer.from(hkdfSync("sm3", short, "", "strongroom/import/sm4/v1", 32)));
    using openedToo = openBox(second.wrapped, "dataKey", derived, { node: "n" });
    assert.ok(openedToo.equals(expectedToo));
  });

  it("can be deleted and imported again, and nothing else in its place", async () => {
    const { keyId, arn } = await external();
    const material = randomBytes(32);
    const { materialId } = await importInto(keyId, material);
    const { wrapped, plaintext } = await seal(keyId);
    using expected = plaintext;
    assert.equal((await km.custody.imports.deleteMaterial(km.admin, keyId)).state, "pending-import");
    await assert.rejects(opens(wrapped, expected), { code: "KEY_STATE_INVALID", state: "pending-import" });
    await km.restart();
    await assert.rejects(opens(wrapped, expected), { code: "KEY_STATE_INVALID" });
    assert.equal((await km.custody.imports.deleteMaterial(km.admin, keyId)).state, "pending-import");
    const other = Buffer.from(material);
    other.writeUInt8(other.readUInt8(31) ^ 1, 31);
    await assert.rejects(importInto(keyId, other), { code: "MATERIAL_INCORRECT", key: arn });
    const again = await importInto(keyId, material);
    assert.deepEqual([again.state, again.materialId, again.currentVersion], ["enabled", materialId, 1]);
    await opens(wrapped, expected);
  });

  it("leaves the store when it is deleted", async () => {
    const { keyId } = await external();
    await importInto(keyId, randomBytes(32));
    await km.custody.imports.deleteMaterial(km.admin, keyId);
    const described = await km.custody.keys.describe(km.admin, keyId);
    assert.deepEqual([described.materialId, described.expiresAt], [null, null]);
  });

  it("is of no use from its expiry on, swept or not, and the sweep is on record", async () => {
    const { keyId } = await external();
    const material = randomBytes(32);
    const expiresAt = new Date(km.nowMs + hourMs).toISOString();
    assert.equal((await importInto(keyId, material, expiresAt)).expiresAt, expiresAt);
    const { wrapped, plaintext } = await seal(keyId);
    using expected = plaintext;
    km.nowMs += hourMs - 1;
    await opens(wrapped, expected);
    assert.equal(await km.custody.imports.expireDue(), 0);
    km.nowMs += 1;
    const expired = { code: "KEY_STATE_INVALID", state: "pending-import" };
    await assert.rejects(opens(wrapped, expected), expired);
    await assert.rejects(
      km.custody.data.rewrap(user, { wrapped, context: { node: "n" }, toContext: { node: "m" } }),
      expired,
    );
    const inList = (await km.custody.keys.list(km.admin)).find((each) => each.keyId === keyId);
    assert.deepEqual([inList?.state, inList?.materialId], ["pending-import", null]);
    await assert.rejects(km.custody.keys.enable(km.admin, keyId), expired);
    await km.restart();
    await assert.rejects(opens(wrapped, expected), expired);
    assert.equal(await km.custody.imports.expireDue(), 1);
    assert.equal(await km.custody.imports.expireDue(), 0);
    const written = await km.custody.audit.read(km.admin, { after: 0, limit: 10_000 });
    const sweep = written.filter(({ action }) => action === "kms:DeleteExpiredKeyMaterial");
    assert.deepEqual(
      sweep.map(({ principal, key, result }) => [principal, key, result]),
      [["strongroom", keyId, "done"]],
    );
    await importInto(keyId, material);
    await opens(wrapped, expected);
  });

  it("is dropped when it has expired also behind a key that fails, and the failure is told", async (context) => {
    const keys = [(await external()).keyId, (await external()).keyId];
    for (const keyId of keys) await importInto(keyId, randomBytes(32), new Date(km.nowMs + hourMs).toISOString());
    km.nowMs += hourMs;
    let failing = "";
    const device = context.mock.method(SoftDevice.prototype, "destroyKey", ({ keyId }: { readonly keyId: string }) => {
      failing ||= keyId;
      return keyId === failing ? Promise.reject(new Error("the device does not answer")) : Promise.resolve();
    });
    await assert.rejects(km.custody.imports.expireDue(), /the device does not answer/);
    const asked = new Set(device.mock.calls.map(({ arguments: [key] }) => key?.keyId));
    assert.ok(keys.every((keyId) => asked.has(keyId)));
    device.mock.restore();
    assert.equal(await km.custody.imports.expireDue(), 0);
  });

  it("may be imported again before it ends, with another end; a disabled key stays disabled", async () => {
    const { keyId } = await external();
    const material = randomBytes(32);
    const begun = await begin(keyId);
    await finish(keyId, begun, material, new Date(km.nowMs + hourMs).toISOString());
    await km.custody.keys.disable(km.admin, keyId);
    const prolonged = await finish(keyId, begun, material);
    assert.deepEqual([prolonged.state, prolonged.expiresAt], ["disabled", null]);
    km.nowMs += 2 * hourMs;
    assert.equal((await km.custody.keys.enable(km.admin, keyId)).state, "enabled");
  });

  it("ends in the future, within 365 days, at a time that is one", async () => {
    const { keyId } = await external();
    const begun = await begin(keyId);
    const at = (ms: number) => new Date(km.nowMs + ms).toISOString();
    for (const wrong of [at(0), at(-1), at(365 * dayMs + 1), "tomorrow", "", "2027-01-01", "9999-99-99T00:00:00.000Z"])
      await assert.rejects(finish(keyId, begun, randomBytes(32), wrong), { code: "INPUT_INVALID" }, wrong);
    await finish(keyId, begun, randomBytes(32), at(365 * dayMs));
  });

  it("has the length of the cipher's key", async () => {
    for (const [suite, lengths] of [["intl", [1, 16, 24, 31, 33, 64]] as const, ["sm", [1, 8, 15, 17, 32]] as const]) {
      const { keyId, arn } = await external(suite);
      const begun = await begin(keyId);
      for (const length of lengths)
        await assert.rejects(finish(keyId, begun, randomBytes(length)), { code: "MATERIAL_INCORRECT", key: arn });
    }
  });

  describe("in a wrapping that does not open", () => {
    let key: KeyDescription;
    before(async () => {
      key = await external();
    });

    const attempt = (begun: Begun, wrapped: Uint8Array) =>
      km.custody.imports.importMaterial(km.admin, { key: key.keyId, token: begun.token, wrapped, expiresAt: null });
    const refused = { code: "WRAP_REFUSED" };

    for (const [algorithm, spec] of ways.filter(([, spec]) => spec !== "RSA_3072"))
      it(`is refused with any byte of ${algorithm} changed, or cut`, async () => {
        const begun = await begin(key.keyId, algorithm, spec);
        const wrapped = wrapMaterial(begun.spki, algorithm, randomBytes(32));
        for (let at = 0; at < wrapped.length; at += Math.ceil(wrapped.length / 12)) {
          const bad = Buffer.from(wrapped);
          bad.writeUInt8(bad.readUInt8(at) ^ 0x40, at);
          await assert.rejects(attempt(begun, bad), refused, `byte ${at}`);
        }
        for (const length of [1, 16, wrapped.length - 8, wrapped.length - 1])
          await assert.rejects(attempt(begun, wrapped.subarray(0, length)), refused, `${length} bytes`);
        await assert.rejects(attempt(begun, Buffer.concat([wrapped, Buffer.alloc(8)])), refused);
      });

    it("is refused by another algorithm than the one asked for, or under another wrapping key", async () => {
      const begun = await begin(key.keyId, "RSAES_OAEP_SHA_256");
      const other = await begin(key.keyId, "RSAES_OAEP_SHA_256");
      const material = randomBytes(32);
      for (const algorithm of ["RSAES_OAEP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"] as const)
        await assert.rejects(attempt(begun, wrapMaterial(begun.spki, algorithm, material)), refused);
      await assert.rejects(attempt(begun, wrapMaterial(other.spki, "RSAES_OAEP_SHA_256", material)), refused);
      const short = Buffer.concat([
        wrapMaterial(begun.spki, "RSAES_OAEP_SHA_256", randomBytes(16)),
        wrapPadded(randomBytes(16), material),
      ]);
      await assert.rejects(attempt(begun, short), refused);
    });

    it("is refused when the AES key that wraps it is not one of 256 bits", async () => {
      const begun = await begin(key.keyId, "RSA_AES_KEY_WRAP_SHA_256");
      const aes128 = randomBytes(16);
      const wrapped = Buffer.concat([
        wrapMaterial(begun.spki, "RSAES_OAEP_SHA_256", aes128),
        wrapPadded(aes128, randomBytes(32)),
      ]);
      await assert.rejects(attempt(begun, wrapped), refused);
    });

    it("has 1 to 6144 bytes", async () => {
      const begun = await begin(key.keyId);
      for (const length of [0, 6145])
        await assert.rejects(attempt(begun, Buffer.alloc(length)), { code: "INPUT_INVALID" });
    });

    after(async () => {
      assert.equal((await km.custody.keys.describe(km.admin, key.keyId)).state, "pending-import");
    });
  });

  describe("by a token", () => {
    it("that was changed, cut or made up, is refused", async () => {
      const { keyId } = await external();
      const begun = await begin(keyId);
      const wrapped = wrapMaterial(begun.spki, begun.algorithm, randomBytes(32));
      const attempt = async (bytes: Buffer) => {
        using token = SecretBuffer.copyOf(bytes);
        await km.custody.imports.importMaterial(km.admin, { key: keyId, token, wrapped, expiresAt: null });
      };
      const genuine = begun.token.expose((bytes) => Buffer.from(bytes));
      const invalid = { code: "IMPORT_TOKEN_INVALID" };
      for (let at = 0; at < genuine.length; at++) {
        const bad = Buffer.from(genuine);
        bad.writeUInt8(bad.readUInt8(at) ^ 1, at);
        await assert.rejects(attempt(bad), invalid, `byte ${at}`);
      }
      for (const bytes of [Buffer.alloc(0), genuine.subarray(1), Buffer.concat([genuine, genuine]), randomBytes(56)])
        await assert.rejects(attempt(bytes), invalid);
      await attempt(genuine);
    });

    it("of another key is refused", async () => {
      const [one, two] = [await external(), await external()];
      const begun = await begin(one.keyId);
      await assert.rejects(finish(two.keyId, begun, randomBytes(32)), { code: "IMPORT_TOKEN_INVALID", key: two.arn });
    });

    it("holds for 24 hours, across a restart, and says that it is too old after that, swept or not", async () => {
      const { keyId } = await external();
      const begun = await begin(keyId);
      assert.equal(begun.validUntil, new Date(km.nowMs + dayMs).toISOString());
      const material = randomBytes(32);
      await km.restart();
      km.nowMs += dayMs - 1;
      await finish(keyId, begun, material);
      km.nowMs += 1;
      await assert.rejects(finish(keyId, begun, material), { code: "IMPORT_TOKEN_EXPIRED" });
      await km.custody.imports.expireDue();
      await assert.rejects(finish(keyId, begun, material), { code: "IMPORT_TOKEN_EXPIRED" });
    });

    it("gives way to the eighth after it", async () => {
      const { keyId } = await external();
      const first = await begin(keyId, "SM2PKE", "SM2");
      km.nowMs += 1;
      const second = await begin(keyId, "SM2PKE", "SM2");
      for (let count = 0; count < 7; count++) {
        km.nowMs += 1;
        await begin(keyId, "SM2PKE", "SM2");
      }
      const material = randomBytes(32);
      await assert.rejects(finish(keyId, first, material), { code: "IMPORT_TOKEN_INVALID" });
      await finish(keyId, second, material);
    });
  });

  it("goes only into symmetric keys of origin external", async () => {
    const specs = [{ spec: "RSA_2048" }, { spec: "ECC_NIST_P256" }, { spec: "HMAC_256" }, { spec: "SM2" }] as const;
    for (const spec of specs)
      await assert.rejects(km.custody.keys.create(km.admin, { ...spec, origin: "external" }), {
        code: "KEY_UNSUPPORTED",
      });
    const own = await km.custody.keys.create(km.admin, {});
    const attempts = [begin(own.keyId), km.custody.imports.deleteMaterial(km.admin, own.keyId)];
    for (const attempt of attempts)
      await assert.rejects(attempt, (error: { code: string; key: string; facts: { origin: string } }) => {
        assert.deepEqual([error.code, error.key, error.facts.origin], ["KEY_UNSUPPORTED", own.arn, "soft"]);
        return true;
      });
    const { plaintext } = await seal(own.keyId);
    plaintext[Symbol.dispose]();
  });

  it("goes under a wrapping key that its algorithm is for", async () => {
    const { keyId } = await external();
    const wrong: readonly (readonly [string, string])[] = [
      ["SM2PKE", "RSA_2048"],
      ["RSAES_OAEP_SHA_256", "SM2"],
      ["RSA_AES_KEY_WRAP_SHA_256", "SM2"],
      ["RSAES_PKCS1_V1_5", "RSA_2048"],
      ["RSAES_OAEP_SHA_256", "RSA_1024"],
      ["RSAES_OAEP_SHA_256", "ECC_NIST_P256"],
      ["toString", "RSA_2048"],
    ];
    for (const [algorithm, spec] of wrong)
      await assert.rejects(begin(keyId, algorithm as WrappingAlgorithm, spec as WrappingKeySpec), {
        code: "INPUT_INVALID",
      });
  });

  it("is not taken by a key that waits for its deletion, and a key without it waits again when that is cancelled", async () => {
    const { keyId } = await external();
    const begun = await begin(keyId);
    await km.custody.keys.scheduleDeletion(km.admin, keyId, 7);
    const leaving = { code: "KEY_STATE_INVALID", state: "pending-deletion" };
    await assert.rejects(begin(keyId), leaving);
    await assert.rejects(finish(keyId, begun, randomBytes(32)), leaving);
    await assert.rejects(km.custody.imports.deleteMaterial(km.admin, keyId), leaving);
    assert.equal((await km.custody.keys.cancelDeletion(km.admin, keyId)).state, "pending-import");
    await finish(keyId, begun, randomBytes(32));
    await km.custody.keys.scheduleDeletion(km.admin, keyId, 7);
    assert.equal((await km.custody.keys.cancelDeletion(km.admin, keyId)).state, "disabled");
  });

  it("is an administrator's to bring and to delete", async () => {
    const { keyId } = await external();
    const begun = await begin(keyId);
    const wrapped = wrapMaterial(begun.spki, begun.algorithm, randomBytes(32));
    const { imports } = km.custody;
    for (const caller of [user, await km.user(`otto-${keyId.slice(0, 8)}`, "operator")])
      for (const attempt of [
        imports.parameters(caller, { key: keyId, algorithm: "SM2PKE", wrappingKeySpec: "SM2" }),
        imports.importMaterial(caller, { key: keyId, token: begun.token, wrapped, expiresAt: null }),
        imports.deleteMaterial(caller, keyId),
      ])
        await assert.rejects(attempt, { code: "ACCESS_DENIED" });
  });
});
