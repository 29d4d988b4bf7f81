import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Caller } from "../../../src/custody/service.ts";
import { TestKeyManager } from "./key-manager.ts";

describe("lists of keys and grants, page by page", () => {
  let km: TestKeyManager;
  let user: Caller;
  let other: Caller;
  const keys: string[] = [];
  before(async () => {
    km = await TestKeyManager.make();
    user = await km.user("lisa", "key-user");
    other = await km.user("otto", "key-user");
    for (let made = 0; made < 5; made++) keys.push((await km.custody.keys.create(km.admin, {})).keyId);
    for (const keyId of keys)
      for (const { principal } of [user, other])
        await km.custody.grants.create(km.admin, keyId, { grantee: principal, operations: ["Encrypt"] });
  });
  after(() => km.end());

  const idsOf = async (input: { after?: string; limit: number }) =>
    (await km.custody.keys.page(km.admin, input)).items.map(({ keyId }) => keyId);

  it("give keys in the order of their ids, also after a restart and with keys that were just made", async () => {
    const sorted = keys.toSorted();
    for (let restarts = 0; restarts < 2; restarts++) {
      assert.deepEqual(await idsOf({ limit: 10 }), sorted);
      assert.deepEqual(await idsOf({ limit: 2 }), sorted.slice(0, 2));
      assert.deepEqual(await idsOf({ limit: 2, after: sorted[1] ?? "" }), sorted.slice(2, 4));
      assert.deepEqual(await idsOf({ limit: 2, after: "ffffffff" }), []);
      await km.restart();
    }
    assert.equal((await km.custody.keys.page(km.admin, { limit: 5 })).more, false);
    assert.equal((await km.custody.keys.page(km.admin, { limit: 4 })).more, true);
  });

  it("give destroyed keys among all of them, and not among those that are there", async () => {
    const { keyId } = await km.custody.keys.create(km.admin, {});
    await km.custody.keys.scheduleDeletion(km.admin, keyId, 7);
    km.nowMs += 8 * 24 * 60 * 60 * 1000;
    await km.custody.keys.destroy(km.admin, keyId);
    for (let restarts = 0; restarts < 2; restarts++) {
      const ids = async (which: "all" | "living") =>
        (await km.custody.keys.page(km.admin, { limit: 10 }, { which })).items.map((key) => key.keyId);
      assert.deepEqual(await ids("living"), keys.toSorted());
      assert.deepEqual(await ids("all"), [...keys, keyId].sort());
      await km.restart();
    }
  });

  it("give the grants on a key, all or one grantee's or one", async () => {
    const [key = "", another = ""] = keys;
    const { grants } = km.custody;
    const page = (input: Parameters<typeof grants.page>[2]) => grants.page(km.admin, key, input);
    const all = (await page({ limit: 10 })).items;
    assert.equal(all.length, 2);
    assert.deepEqual(
      (await page({ limit: 10, grantee: user.principal })).items.map(({ grantee }) => grantee),
      [user.principal],
    );
    assert.deepEqual((await page({ limit: 10, grantId: all[0]?.id ?? "" })).items, all.slice(0, 1));
    assert.deepEqual((await page({ limit: 1 })).more, true);
    const elsewhere = (await grants.page(km.admin, another, { limit: 1 })).items[0]?.id ?? "";
    assert.deepEqual((await page({ limit: 10, grantId: elsewhere })).items, []);
    assert.deepEqual((await page({ limit: 10, grantId: "none" })).items, []);
  });

  it("give all grants, or those of one grantee, for one record", async () => {
    const { grants, audit } = km.custody;
    const { sequence } = await audit.checkpoint(km.admin);
    assert.equal((await grants.listAll(km.admin)).length, 10);
    const held = await grants.listAll(km.admin, user.principal);
    assert.deepEqual(held.map(({ keyId }) => keyId).sort(), keys.toSorted());
    assert.deepEqual(await grants.listAll(km.admin, "arn:aws:iam::1:user/none"), []);
    const records = await audit.read(km.admin, { after: sequence, limit: 10 });
    assert.deepEqual(
      records.map(({ action, result, detail }) => [action, result, detail.grantee]),
      [
        ["strongroom:ListAllGrants", "done", undefined],
        ["strongroom:ListAllGrants", "done", user.principal],
        ["strongroom:ListAllGrants", "done", "arn:aws:iam::1:user/none"],
      ],
    );
  });

  it("pass over the grants on a key whose policy keeps them from the caller", async () => {
    const [key = ""] = keys;
    const policy = JSON.parse(await km.custody.policies.get(km.admin, key));
    policy.Statement.push({
      Effect: "Deny",
      Principal: { AWS: km.admin.principal },
      Action: "kms:ListGrants",
      Resource: "*",
    });
    await km.custody.policies.put(km.admin, key, JSON.stringify(policy));
    const seen = await km.custody.grants.listAll(km.admin);
    assert.equal(seen.length, 8);
    assert.equal(
      seen.some(({ keyId }) => keyId === key),
      false,
    );
  });

  it("are refused to who may not list", async () => {
    await assert.rejects(km.custody.grants.listAll(user), { code: "ACCESS_DENIED" });
    await assert.rejects(km.custody.grants.page(user, keys[1] ?? "", { limit: 1 }), { code: "ACCESS_DENIED" });
    await assert.rejects(km.custody.grants.page(km.admin, "none", { limit: 1 }), { code: "KEY_NOT_FOUND" });
  });

  it("hold no key that is destroyed", async () => {
    const [, gone = ""] = keys;
    await km.custody.keys.scheduleDeletion(km.admin, gone, 7);
    assert.equal((await idsOf({ limit: 10 })).includes(gone), true);
    km.nowMs += 7 * 24 * 60 * 60 * 1000;
    await km.custody.keys.destroyDue();
    for (let restarts = 0; restarts < 2; restarts++) {
      assert.equal((await idsOf({ limit: 10 })).includes(gone), false);
      await km.restart();
    }
  });
});
