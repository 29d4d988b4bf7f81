import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TestKeyManager } from "./key-manager.ts";

const dayMs = 24 * 60 * 60 * 1000;

describe("master keys", () => {
  let km: TestKeyManager;
  before(async () => {
    km = await TestKeyManager.make();
  });
  after(() => km.end());

  it("are found by id, alias, key ARN and alias ARN, and nothing else", async () => {
    const { custody, admin } = km;
    const key = await custody.keys.create(admin, { alias: "alias/found", description: "for tests" });
    for (const name of [key.keyId, "alias/found", key.arn, key.arn.replace(/key\/.*/, "alias/found")])
      assert.equal((await custody.keys.describe(admin, name)).keyId, key.keyId);
    for (const name of [
      "",
      "alias/",
      "alias/lost",
      key.keyId.slice(1),
      key.arn.replace("local", "other"),
      `key/${"0".repeat(36)}`,
    ])
      await assert.rejects(custody.keys.describe(admin, name), { code: "KEY_NOT_FOUND" }, name);
  });

  it("open every older version after a rotation, and seal under the newest", async () => {
    const { custody, admin } = km;
    const { keyId } = await custody.keys.create(admin, { suite: "sm" });
    const node = await km.enrol("rotating", keyId);
    const context = { node: "rotating" };
    const wraps = [await custody.data.generateDataKeyWithoutPlaintext(node, { key: keyId, context })];
    for (let version = 2; version <= 4; version++) {
      assert.equal((await custody.keys.rotate(admin, keyId)).currentVersion, version);
      wraps.push(await custody.data.generateDataKeyWithoutPlaintext(node, { key: keyId, context }));
    }
    assert.deepEqual(
      wraps.map((wrap) => wrap.keyVersion),
      [1, 2, 3, 4],
    );
    await km.restart();
    for (const { wrapped } of wraps) {
      const { plaintext } = await km.custody.data.unwrap(node, { wrapped, context });
      using secret = plaintext;
      assert.equal(secret.byteLength, 32);
    }
  });

  it("stop working at once when disabled, and work again when enabled", async () => {
    const { custody, admin } = km;
    const { keyId } = await custody.keys.create(admin, {});
    const node = await km.enrol("disabled", keyId);
    const context = { node: "disabled" };
    const { wrapped } = await custody.data.generateDataKeyWithoutPlaintext(node, { key: keyId, context });
    await custody.keys.disable(admin, keyId);
    await assert.rejects(custody.data.unwrap(node, { wrapped, context }), { code: "KEY_DISABLED", exitCode: 3 });
    await assert.rejects(custody.data.generateDataKeyWithoutPlaintext(node, { key: keyId, context }), {
      code: "KEY_DISABLED",
    });
    await km.restart();
    await assert.rejects(km.custody.data.unwrap(node, { wrapped, context }), { code: "KEY_DISABLED" });
    await km.custody.keys.enable(admin, keyId);
    (await km.custody.data.unwrap(node, { wrapped, context })).plaintext[Symbol.dispose]();
  });

  it("go through deletion only after the waiting time, and never come back", async () => {
    const { custody, admin } = km;
    const { keyId } = await custody.keys.create(admin, {});
    const node = await km.enrol("deleted", keyId);
    const context = { node: "deleted" };
    const { wrapped } = await custody.data.generateDataKeyWithoutPlaintext(node, { key: keyId, context });
    for (const days of [6, 31, 7.5, Number.NaN])
      await assert.rejects(custody.keys.scheduleDeletion(admin, keyId, days), { code: "INPUT_INVALID" });
    await custody.keys.scheduleDeletion(admin, keyId, 7);
    await assert.rejects(custody.data.unwrap(node, { wrapped, context }), { code: "KEY_STATE_INVALID" });
    await assert.rejects(custody.keys.enable(admin, keyId), { code: "KEY_STATE_INVALID" });
    await assert.rejects(custody.keys.rotate(admin, keyId), { code: "KEY_STATE_INVALID" });
    await assert.rejects(custody.keys.destroy(admin, keyId), { code: "KEY_STATE_INVALID" });
    assert.equal((await custody.keys.cancelDeletion(admin, keyId)).state, "disabled");
    await custody.keys.scheduleDeletion(admin, keyId, 7);
    km.nowMs += 7 * dayMs;
    assert.equal((await custody.keys.destroy(admin, keyId)).state, "destroyed");
    for (const attempt of [custody.keys.cancelDeletion(admin, keyId), custody.keys.enable(admin, keyId)])
      await assert.rejects(attempt, { code: "KEY_STATE_INVALID" });
    await km.restart();
    // Its grant went with the key: to the node, the key is as absent as one that never was.
    await assert.rejects(km.custody.data.unwrap(node, { wrapped, context }), { code: "KEY_NOT_FOUND" });
  });

  it("refuse usages, specs, aliases and descriptions that there are not", async () => {
    const { custody, admin } = km;
    const wrong = [
      { usage: "sign" as const },
      { usage: "mac" as const },
      { spec: "ECC_NIST_P256" as const, usage: "encrypt" as const },
      { spec: "RSA_2048" as const, usage: "mac" as const },
      { spec: "HMAC_256" as const, usage: "sign" as const },
      { suite: "sm" as const, spec: "RSA_2048" as const },
      { suite: "intl" as const, spec: "SM2" as const },
      { suite: "sm" as const, spec: "AES_256" as const },
      { alias: "nodes" },
      { alias: "alias/aws/x" },
      { alias: `alias/${"x".repeat(251)}` },
      { alias: "alias/a b" },
      { description: "x".repeat(8193) },
    ];
    for (const input of wrong) await assert.rejects(custody.keys.create(admin, input), { code: "INPUT_INVALID" });
    const before = (await custody.keys.list(admin)).length;
    await assert.rejects(custody.keys.create(admin, { alias: "alias/found" }), { code: "ALIAS_EXISTS" });
    await assert.rejects(custody.keys.create(admin, { policy: "{" }), { code: "INPUT_INVALID" });
    assert.equal((await custody.keys.list(admin)).length, before);
  });

  it("have aliases that move and go", async () => {
    const { custody, admin } = km;
    const [one, two] = [await custody.keys.create(admin, {}), await custody.keys.create(admin, {})];
    await custody.aliases.create(admin, "alias/moving", one.keyId);
    await assert.rejects(custody.aliases.create(admin, "alias/moving", two.keyId), { code: "ALIAS_EXISTS" });
    await custody.aliases.update(admin, "alias/moving", two.keyId);
    assert.deepEqual((await custody.keys.describe(admin, "alias/moving")).aliases, ["alias/moving"]);
    assert.deepEqual((await custody.keys.describe(admin, one.keyId)).aliases, []);
    await custody.aliases.delete(admin, "alias/moving");
    await assert.rejects(custody.aliases.delete(admin, "alias/moving"), { code: "ALIAS_NOT_FOUND" });
    await assert.rejects(custody.aliases.update(admin, "alias/moving", one.keyId), { code: "ALIAS_NOT_FOUND" });
  });
});
