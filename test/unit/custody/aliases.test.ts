import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TestKeyManager } from "./key-manager.ts";

describe("aliases", () => {
  let km: TestKeyManager;
  before(async () => {
    km = await TestKeyManager.make();
  });
  after(() => km.end());

  const create = async (input = {}) => (await km.custody.keys.create(km.admin, input)).keyId;

  it("are at most fifty for one key, made or moved there", async () => {
    const [full, other] = [await create(), await create()];
    for (let index = 0; index < 50; index++) await km.custody.aliases.create(km.admin, `alias/many/${index}`, full);
    const limit = { code: "LIMIT_EXCEEDED" };
    await assert.rejects(km.custody.aliases.create(km.admin, "alias/many/50", full), limit);
    await km.custody.aliases.create(km.admin, "alias/many/50", other);
    await assert.rejects(km.custody.aliases.update(km.admin, "alias/many/50", full), limit);
    await km.custody.aliases.update(km.admin, "alias/many/7", full);
    await km.custody.aliases.delete(km.admin, "alias/many/0");
    await km.custody.aliases.update(km.admin, "alias/many/50", full);
  });

  it("move only between keys of the same kind and usage", async () => {
    const keys = {
      aes: await create(),
      sm4: await create({ suite: "sm" }),
      rsaToSign: await create({ spec: "RSA_2048", usage: "sign" }),
      rsaToEncrypt: await create({ spec: "RSA_2048", usage: "encrypt" }),
      curve: await create({ spec: "ECC_SECG_P256K1" }),
      mac: await create({ spec: "HMAC_256" }),
    };
    const alike = [
      ["aes", "sm4"],
      ["rsaToSign", "curve"],
    ];
    for (const [from, fromKey] of Object.entries(keys))
      for (const [to, toKey] of Object.entries(keys)) {
        const alias = `alias/${from}-${to}`;
        await km.custody.aliases.create(km.admin, alias, fromKey);
        const moved = km.custody.aliases.update(km.admin, alias, toKey);
        if (from === to || alike.some((pair) => pair.includes(from) && pair.includes(to))) await moved;
        else await assert.rejects(moved, { code: "INPUT_INVALID" }, alias);
      }
  });

  it("move only by who may move them from the one key and to the other", async () => {
    const user = await km.user("mover", "key-user");
    const root = { AWS: `arn:aws:iam::${km.custody.identity.account}:root` };
    const policy = JSON.stringify({
      Version: "2012-10-17",
      Statement: [
        { Effect: "Allow", Principal: root, Action: "kms:*", Resource: "*" },
        { Effect: "Allow", Principal: { AWS: user.principal }, Action: "kms:UpdateAlias", Resource: "*" },
      ],
    });
    const [mine, alsoMine, theirs] = [await create({ policy }), await create({ policy }), await create()];
    await km.custody.aliases.create(km.admin, "alias/mine", mine);
    await km.custody.aliases.create(km.admin, "alias/theirs", theirs);
    await assert.rejects(km.custody.aliases.update(user, "alias/theirs", mine), { code: "ACCESS_DENIED" });
    await assert.rejects(km.custody.aliases.update(user, "alias/mine", theirs), { code: "ACCESS_DENIED" });
    await km.custody.aliases.update(user, "alias/mine", alsoMine);
  });

  it("are refused under AWS's own prefix, and under any look-alike of a name", async () => {
    const key = await create();
    const names = [
      "alias/aws/s3",
      "Alias/x",
      "alias/x ",
      " alias/x",
      "alias/",
      "alias",
      "x",
      "alias/é",
      "alias/a.b",
      "alias/a\n",
    ];
    for (const name of names) {
      await assert.rejects(km.custody.aliases.create(km.admin, name, key), { code: "INPUT_INVALID" }, name);
      await assert.rejects(km.custody.aliases.update(km.admin, name, key), { code: "INPUT_INVALID" }, name);
      await assert.rejects(km.custody.aliases.delete(km.admin, name), { code: "INPUT_INVALID" }, name);
    }
  });
});
