import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Caller } from "../../../src/custody/service.ts";
import { TestKeyManager } from "./key-manager.ts";

const refused = { code: "TAGS_INVALID" };

describe("tags of a key", () => {
  let km: TestKeyManager;
  let keyId: string;
  before(async () => {
    km = await TestKeyManager.make();
    ({ keyId } = await km.custody.keys.create(km.admin, { tags: { network: "consortium" } }));
  });
  after(() => km.end());

  it("are given at creation, added, replaced and removed, and outlive a restart", async () => {
    const { admin } = km;
    await km.custody.tags.add(admin, keyId, { network: "other", "Cost Center": "" });
    await km.custody.tags.remove(admin, keyId, ["absent"]);
    await km.restart();
    assert.deepEqual(await km.custody.tags.list(admin, keyId), { network: "other", "Cost Center": "" });
    await km.custody.tags.remove(admin, keyId, ["Cost Center", "network"]);
    assert.deepEqual(await km.custody.tags.list(admin, keyId), {});
  });

  it("may be named like what every object has", async () => {
    const odd = JSON.parse('{"__proto__":"x","constructor":"y"}') as Record<string, string>;
    await km.custody.tags.add(km.admin, keyId, odd);
    assert.equal(JSON.stringify(await km.custody.tags.list(km.admin, keyId)), '{"__proto__":"x","constructor":"y"}');
    await km.custody.tags.remove(km.admin, keyId, ["__proto__", "constructor"]);
    assert.deepEqual(await km.custody.tags.list(km.admin, keyId), {});
  });

  for (const [what, tags] of Object.entries({
    "an empty name": { "": "x" },
    "a name of 129 characters": { ["n".repeat(129)]: "x" },
    "a value of 257 characters": { name: "v".repeat(257) },
    "a line break in a name": { "a\nb": "x" },
    "a line break in a value": { name: "a\nb" },
    "a line separator": { name: "a\u2028b" },
    "an escape sequence": { name: "\u001b[31m" },
    "half a surrogate pair": { name: "\ud800" },
    "a semicolon": { "a;b": "x" },
    "a value that is no text": { name: 1 as unknown as string },
  }))
    it(`are refused with ${what}`, async () => {
      await assert.rejects(km.custody.tags.add(km.admin, keyId, tags), refused);
      await assert.rejects(km.custody.keys.create(km.admin, { tags }), refused);
    });

  it("never begin aws:, however it is written, neither to add nor to remove", async () => {
    for (const name of ["aws:x", "AWS:x", "Aws:cloudformation"]) {
      const reserved = { ...refused, message: "Tags beginning with aws: are reserved" };
      await assert.rejects(km.custody.tags.add(km.admin, keyId, { [name]: "x" }), reserved);
      await assert.rejects(km.custody.tags.remove(km.admin, keyId, [name]), reserved);
    }
    await km.custody.tags.add(km.admin, keyId, { "awsome:x": "allowed" });
    await km.custody.tags.remove(km.admin, keyId, ["awsome:x"]);
  });

  it("are at most fifty, those that are there already counted", async () => {
    const many = (count: number, from = 0) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`t${from + index}`, "x"]));
    const tooMany = { ...refused, message: "Too many tags" };
    await assert.rejects(km.custody.tags.add(km.admin, keyId, many(51)), tooMany);
    await km.custody.tags.add(km.admin, keyId, many(50));
    await assert.rejects(km.custody.tags.add(km.admin, keyId, many(1, 50)), tooMany);
    await km.custody.tags.add(km.admin, keyId, { t0: "replaced" });
    assert.equal(Object.keys(await km.custody.tags.list(km.admin, keyId)).length, 50);
  });

  it("cannot be changed on a key that waits for its deletion, but can be listed", async () => {
    const key = await km.custody.keys.create(km.admin, { tags: { a: "b" } });
    await km.custody.keys.scheduleDeletion(km.admin, key.keyId, 7);
    const wrongState = { code: "KEY_STATE_INVALID", key: key.arn, state: "pending-deletion" };
    await assert.rejects(km.custody.tags.add(km.admin, key.keyId, { c: "d" }), wrongState);
    await assert.rejects(km.custody.tags.remove(km.admin, key.keyId, ["a"]), wrongState);
    assert.deepEqual(await km.custody.tags.list(km.admin, key.keyId), { a: "b" });
  });

  it("are an administrator's to change", async () => {
    const callers = [await km.user("ursula", "key-user"), await km.enrol("n1", keyId)];
    for (const caller of callers) {
      await assert.rejects(km.custody.tags.add(caller, keyId, { t0: "mine" }), { code: "ACCESS_DENIED" });
      await assert.rejects(km.custody.tags.remove(caller, keyId, ["t0"]), { code: "ACCESS_DENIED" });
      await assert.rejects(km.custody.tags.list(caller, keyId), { code: "ACCESS_DENIED" });
    }
    const auditor = await km.user("august", "auditor");
    assert.equal((await km.custody.tags.list(auditor, keyId)).t0, "replaced");
    await assert.rejects(km.custody.tags.add(auditor, keyId, { t0: "mine" }), { code: "ACCESS_DENIED" });
  });
});

describe("a policy that asks for tags, specs and origins", () => {
  let km: TestKeyManager;
  let lead: Caller;
  before(async () => {
    km = await TestKeyManager.make();
    lead = await km.user("lea", "key-user");
  });
  after(() => km.end());

  const create = async (statements: readonly object[], tags: Record<string, string> = {}) => {
    const root = { AWS: `arn:aws:iam::${km.custody.identity.account}:root` };
    const all = [{ Effect: "Allow", Principal: root, Action: "kms:*", Resource: "*" }, ...statements];
    const policy = JSON.stringify({ Version: "2012-10-17", Statement: all });
    return (await km.custody.keys.create(km.admin, { policy, tags })).keyId;
  };
  const about = (effect: string, action: string | string[], condition: object) => ({
    Effect: effect,
    Principal: { AWS: lead.principal },
    Action: action,
    Resource: "*",
    Condition: condition,
  });

  it("reads the tags of the request and their names", async () => {
    const tagging = ["kms:TagResource", "kms:UntagResource"];
    const key = await create([
      about("Allow", tagging, { "ForAllValues:StringEquals": { "aws:TagKeys": ["stage", "team"] } }),
      about("Deny", tagging, { StringEquals: { "aws:RequestTag/stage": "production" } }),
    ]);
    await km.custody.tags.add(lead, key, { stage: "trial", team: "one" });
    await assert.rejects(km.custody.tags.add(lead, key, { stage: "production" }), { code: "ACCESS_DENIED" });
    await assert.rejects(km.custody.tags.add(lead, key, { stage: "trial", other: "x" }), { code: "ACCESS_DENIED" });
    await assert.rejects(km.custody.tags.remove(lead, key, ["other"]), { code: "ACCESS_DENIED" });
    await km.custody.tags.remove(lead, key, ["stage"]);
    assert.deepEqual(await km.custody.tags.list(km.admin, key), { team: "one" });
  });

  it("reads the tags that the key has at this moment", async () => {
    const key = await create(
      [about("Deny", "kms:GenerateDataKeyWithoutPlaintext", { StringNotEquals: { "aws:ResourceTag/stage": "open" } })],
      { stage: "closed" },
    );
    const use = () => km.custody.data.generateDataKeyWithoutPlaintext(lead, { key, context: {} });
    await assert.rejects(use(), { code: "ACCESS_DENIED" });
    await km.custody.tags.add(km.admin, key, { stage: "open" });
    await use();
    await km.custody.tags.remove(km.admin, key, ["stage"]);
    await assert.rejects(use(), { code: "ACCESS_DENIED" });
  });

  it("reads the key's spec and origin, in AWS's spelling", async () => {
    const key = await create([
      about("Allow", "kms:DisableKey", { StringEquals: { "kms:KeySpec": "RSA_2048" } }),
      about("Allow", "kms:UpdateKeyDescription", { StringEquals: { "kms:KeyOrigin": "AWS_KMS" } }),
    ]);
    await assert.rejects(km.custody.keys.disable(lead, key), { code: "ACCESS_DENIED" });
    await km.custody.keys.updateDescription(lead, key, "by origin");
  });
});
