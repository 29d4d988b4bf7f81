import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { GrantOperation } from "../../../src/custody/policy/grant.ts";
import type { Caller, KeySpec, KeyUsage } from "../../../src/custody/service.ts";
import { TestKeyManager } from "./key-manager.ts";

const denied = { code: "ACCESS_DENIED" };
const invalid = { code: "INPUT_INVALID" };

describe("grants", () => {
  let km: TestKeyManager;
  let key: string;
  let node: Caller;
  let keeper: Caller;
  before(async () => {
    km = await TestKeyManager.make();
    key = (await km.custody.keys.create(km.admin, {})).keyId;
    node = await km.enrol("n1", key);
    keeper = await km.user("keeper", "key-user");
  });
  after(() => km.end());

  const grant = (operations: readonly GrantOperation[], more: { retiring?: string; name?: string } = {}) =>
    km.custody.grants.create(km.admin, key, { grantee: node.principal, operations, ...more });

  it("are retired by their retiring principal, and end at once, with what was made by right of them", async () => {
    const parent = await grant(["Decrypt", "CreateGrant"], { retiring: keeper.principal });
    const sub = { grantee: keeper.principal, operations: ["Decrypt"] } as const;
    const child = await km.custody.grants.create(node, key, sub);
    assert.equal(child.parent, parent.id);
    await km.custody.grants.retire(keeper, key, parent.id);
    const ids = (await km.custody.grants.list(km.admin, key)).map(({ id }) => id);
    assert.ok(!ids.includes(parent.id) && !ids.includes(child.id));
    await assert.rejects(km.custody.grants.retire(keeper, key, parent.id), { code: "GRANT_NOT_FOUND" });
  });

  it("are on record with their id, their end, who may retire them and how a context bounds them", async () => {
    const { sequence } = await km.custody.audit.checkpoint(km.admin);
    const notAfter = new Date(km.nowMs + 60_000).toISOString();
    const bounds = { notAfter, retiring: keeper.principal, constraints: { encryptionContextSubset: { node: "n1" } } };
    const wanted = { grantee: node.principal, operations: ["Decrypt"], ...bounds } as const;
    const { id } = await km.custody.grants.create(km.admin, key, wanted);
    const records = await km.custody.audit.read(km.admin, { after: sequence, limit: 10 });
    const made = records.find(({ action }) => action === "kms:CreateGrant");
    assert.deepEqual(made?.detail, {
      grantee: node.principal,
      operations: "Decrypt",
      grant: id,
      retiring: keeper.principal,
      notAfter,
      contextIs: "contained",
    });
    await km.custody.grants.revoke(km.admin, key, id);
  });

  it("leave a short record when they are refused, however much was asked for", async () => {
    const { sequence } = await km.custody.audit.checkpoint(km.admin);
    const operations = Array<GrantOperation>(20_000).fill("Decrypt");
    const wanted = { grantee: `arn:aws:iam::111122223333:user/${"x".repeat(20_000)}`, operations };
    await assert.rejects(km.custody.grants.create(keeper, key, wanted), denied);
    const records = await km.custody.audit.export(km.admin, { after: sequence, limit: 10 });
    assert.ok(records.every(({ text }) => text.length < 4096));
  });

  it("are retired by their grantee when they hold RetireGrant, named by themselves alone if need be", async () => {
    const { id } = await grant(["Decrypt", "RetireGrant"]);
    await km.custody.grants.retire(node, null, id);
    await assert.rejects(km.custody.grants.retire(node, null, id), { code: "GRANT_NOT_FOUND" });
  });

  it("are not retired by a grantee without RetireGrant, another's RetireGrant, an administrator or a stranger", async () => {
    const { id } = await grant(["Decrypt"], { retiring: keeper.principal });
    await grant(["Encrypt", "RetireGrant"]);
    const other = await km.enrol("n2", key);
    const stranger = km.as(`arn:aws:iam::${km.custody.identity.account}:user/nobody`);
    for (const caller of [node, other, km.admin, stranger])
      for (const reference of [key, null])
        await assert.rejects(km.custody.grants.retire(caller, reference, id), denied);
    assert.ok((await km.custody.grants.list(km.admin, key)).some((each) => each.id === id));
  });

  it("are not retired over a Deny, by role or by key policy", async () => {
    const auditor = await km.user("audra", "auditor");
    const { id } = await grant(["Decrypt"], { retiring: auditor.principal });
    await assert.rejects(km.custody.grants.retire(auditor, key, id), denied);
    const root = { AWS: `arn:aws:iam::${km.custody.identity.account}:root` };
    const policy = JSON.stringify({
      Version: "2012-10-17",
      Statement: [
        { Effect: "Allow", Principal: root, Action: "kms:*", Resource: "*" },
        { Sid: "Hold", Effect: "Deny", Principal: "*", Action: "kms:RetireGrant", Resource: "*" },
      ],
    });
    const held = (await km.custody.keys.create(km.admin, { policy })).keyId;
    const input = { grantee: node.principal, operations: ["Decrypt"], retiring: keeper.principal } as const;
    const made = await km.custody.grants.create(km.admin, held, input);
    await assert.rejects(km.custody.grants.retire(keeper, held, made.id), denied);
    const record = (await km.custody.audit.read(km.admin, { after: 0, limit: 10_000 })).at(-1);
    assert.deepEqual([record?.detail.deniedBy, record?.detail.statement], ["explicit-deny", "Hold"]);
  });

  it("are not retired under another key's name, nor when they were never made", async () => {
    const { id } = await grant(["Decrypt"], { retiring: keeper.principal });
    const other = (await km.custody.keys.create(km.admin, {})).keyId;
    for (const [reference, wanted] of [
      [other, id],
      [key, "00000000-0000-0000-0000-000000000000"],
      [null, ""],
      [null, "__proto__"],
    ] as const)
      await assert.rejects(km.custody.grants.retire(keeper, reference, wanted), { code: "GRANT_NOT_FOUND" });
    await assert.rejects(km.custody.grants.retire(keeper, "alias/lost", id), { code: "KEY_NOT_FOUND" });
  });

  it("are listed for the principal that may retire them, over all keys, to who may list them", async () => {
    const second = (await km.custody.keys.create(km.admin, {})).keyId;
    const retiring = `arn:aws:iam::${km.custody.identity.account}:user/liquidator`;
    const { id } = await grant(["Decrypt"], { retiring });
    const input = { grantee: node.principal, operations: ["Encrypt"], retiring } as const;
    const other = await km.custody.grants.create(km.admin, second, input);
    const listed = await km.custody.grants.listRetirable(km.admin, retiring);
    assert.deepEqual(
      new Map(listed.map(({ id, keyId }) => [id, keyId])),
      new Map([
        [id, key],
        [other.id, second],
      ]),
    );
    assert.deepEqual(await km.custody.grants.listRetirable(km.admin, node.principal), []);
    for (const caller of [node, keeper])
      await assert.rejects(km.custody.grants.listRetirable(caller, retiring), denied);
  });

  it("are the same grant under the same name and content, and another one otherwise", async () => {
    const first = await grant(["Decrypt", "Encrypt"], { name: "retry" });
    assert.equal((await grant(["Encrypt", "Decrypt"], { name: "retry" })).id, first.id);
    assert.notEqual((await grant(["Decrypt"], { name: "retry" })).id, first.id);
    assert.notEqual((await grant(["Decrypt", "Encrypt"], { name: "other" })).id, first.id);
    assert.notEqual((await grant(["Decrypt", "Encrypt"])).id, first.id);
    await km.custody.grants.revoke(km.admin, key, first.id);
    assert.notEqual((await grant(["Decrypt", "Encrypt"], { name: "retry" })).id, first.id);
  });

  const fitting: readonly (readonly [KeySpec, KeyUsage, readonly GrantOperation[], readonly GrantOperation[]])[] = [
    ["AES_256", "encrypt", ["Decrypt", "GenerateDataKeyPair"], ["Sign", "GetPublicKey", "GenerateMac"]],
    ["SM4", "encrypt", ["Encrypt", "ReEncryptTo"], ["Verify", "GetPublicKey", "VerifyMac"]],
    ["RSA_2048", "encrypt", ["Decrypt", "GetPublicKey"], ["GenerateDataKey", "GenerateDataKeyPair", "Sign"]],
    ["SM2", "encrypt", ["Encrypt", "GetPublicKey"], ["GenerateDataKeyWithoutPlaintext", "Verify"]],
    ["ECC_SECG_P256K1", "sign", ["Sign", "Verify", "GetPublicKey"], ["Decrypt", "GenerateDataKey", "GenerateMac"]],
    ["HMAC_256", "mac", ["GenerateMac", "VerifyMac"], ["Sign", "Encrypt", "GetPublicKey"]],
  ];
  for (const [spec, usage, allowed, refused] of fitting)
    it(`hold for ${spec} of usage ${usage} only what such a key can do`, async () => {
      const { keyId } = await km.custody.keys.create(km.admin, { spec, usage });
      const make = (operations: readonly GrantOperation[], constrained = false) =>
        km.custody.grants.create(km.admin, keyId, {
          grantee: node.principal,
          operations,
          ...(constrained ? { constraints: { encryptionContextSubset: { node: "n1" } } } : {}),
        });
      await make([...allowed, "DescribeKey", "RetireGrant"]);
      for (const operation of refused) await assert.rejects(make([operation]), invalid, operation);
      if (spec === "AES_256" || spec === "SM4") await make(allowed, true);
      else await assert.rejects(make(allowed, true), invalid);
    });
});
