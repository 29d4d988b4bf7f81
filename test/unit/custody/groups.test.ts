import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type ActionName, actions, expandAction } from "../../../src/custody/policy/actions.ts";
import { managedPolicies } from "../../../src/custody/policy/roles.ts";
import type { Caller } from "../../../src/custody/service.ts";
import { TestKeyManager } from "./key-manager.ts";

const power = "AWSKeyManagementServicePowerUser";
const denied = { code: "ACCESS_DENIED" };

describe("groups", () => {
  let km: TestKeyManager;
  let keyId: string;
  before(async () => {
    km = await TestKeyManager.make();
    keyId = (await km.custody.keys.create(km.admin, { alias: "alias/app" })).keyId;
  });
  after(() => km.end());

  const member = async (name: string, groups: readonly string[]): Promise<Caller> =>
    km.as((await km.custody.users.create(km.admin, { name, groups })).arn);
  const allowed = (attempt: Promise<unknown>) =>
    attempt.then(
      () => true,
      (error: { code?: string }) => {
        if (error.code === "ACCESS_DENIED") return false;
        return true;
      },
    );

  it("have the forms of AWS IAM and are listed with their policies", async () => {
    const group = await km.custody.groups.create(km.admin, { name: "KMS-Users", policies: [power] });
    assert.equal(group.arn, `arn:aws:iam::${km.custody.identity.account}:group/KMS-Users`);
    assert.deepEqual(await km.custody.groups.list(km.admin), [group]);
    await km.restart();
    assert.deepEqual(await km.custody.groups.list(km.admin), [group]);
  });

  it("give a user that has nothing else exactly what the policy allows", async () => {
    const { keys, aliases, policies, grants, data, users, groups, principals, audit, nodes } = km.custody;
    const caller = await member("only-group", ["KMS-Users"]);
    const context = {};
    const operations: readonly (readonly [ActionName, () => Promise<unknown>])[] = [
      ["kms:CreateKey", () => keys.create(caller, {})],
      ["kms:DescribeKey", () => keys.describe(caller, keyId)],
      ["kms:ListKeys", () => keys.list(caller)],
      ["kms:CreateAlias", () => aliases.create(caller, "alias/second", keyId)],
      ["kms:DeleteAlias", () => aliases.delete(caller, "alias/second")],
      ["kms:ListAliases", () => aliases.list(caller)],
      ["kms:GetKeyPolicy", () => policies.get(caller, keyId)],
      ["kms:ListGrants", () => grants.list(caller, keyId)],
      ["iam:ListUsers", () => users.list(caller)],
      ["iam:ListGroups", () => groups.list(caller)],
      ["kms:PutKeyPolicy", async () => policies.put(caller, keyId, await policies.get(km.admin, keyId))],
      ["kms:UpdateAlias", () => aliases.update(caller, "alias/app", keyId)],
      ["kms:DisableKey", () => keys.disable(caller, keyId)],
      ["kms:EnableKey", () => keys.enable(caller, keyId)],
      ["kms:RotateKeyOnDemand", () => keys.rotate(caller, keyId)],
      ["kms:ScheduleKeyDeletion", () => keys.scheduleDeletion(caller, keyId, 7)],
      ["kms:GenerateDataKey", () => data.generateDataKey(caller, { key: keyId, context })],
      [
        "kms:GenerateDataKeyWithoutPlaintext",
        () => data.generateDataKeyWithoutPlaintext(caller, { key: keyId, context }),
      ],
      ["kms:CreateGrant", () => grants.create(caller, keyId, { grantee: caller.principal, operations: ["Decrypt"] })],
      ["iam:CreateUser", () => users.create(caller, { name: "eve" })],
      ["iam:CreateGroup", () => groups.create(caller, { name: "eves", policies: [power] })],
      ["strongroom:CreatePrincipal", () => principals.create(caller, { name: "eve", kind: "user", role: "auditor" })],
      ["strongroom:ListPrincipals", () => principals.list(caller)],
      ["strongroom:ReadAudit", () => audit.read(caller, { after: 0, limit: 1 })],
      ["strongroom:EnrollNode", () => nodes.createToken(caller, { name: "n", identity: "file" })],
    ];
    const document = JSON.parse(managedPolicies[power]) as { Statement: { Action: string[] }[] };
    const granted = new Set(document.Statement.flatMap(({ Action }) => Action.flatMap(expandAction)));
    for (const [action, attempt] of operations) {
      assert.ok(actions.includes(action));
      assert.equal(await allowed(attempt()), granted.has(action), action);
    }
  });

  it("give nothing to a user in none, and no longer what was taken from them, from the next request on", async () => {
    const { keys, users, groups } = km.custody;
    await groups.create(km.admin, { name: "changing", policies: [power] });
    const caller = await member("changed", ["changing"]);
    const outsider = await member("outsider", []);
    await assert.rejects(keys.list(outsider), denied);
    await keys.list(caller);
    await groups.setPolicies(km.admin, "changing", []);
    await assert.rejects(keys.list(caller), denied);
    await groups.setPolicies(km.admin, "changing", [power, power]);
    await keys.list(caller);
    await users.setGroups(km.admin, "changed", []);
    await assert.rejects(keys.list(caller), denied);
    await users.setGroups(km.admin, "changed", ["changing", "changing"]);
    assert.deepEqual((await users.describe(km.admin, "changed")).groups, ["changing"]);
    await keys.list(caller);
  });

  it("add to a role and lift none of its prohibitions", async () => {
    const { custody } = km;
    const administrator = await custody.users.create(km.admin, {
      name: "boss",
      role: "administrator",
      groups: ["KMS-Users"],
    });
    const auditor = await custody.users.create(km.admin, { name: "eyes", role: "auditor", groups: ["KMS-Users"] });
    const input = { key: keyId, context: {} };
    await assert.rejects(custody.data.generateDataKey(km.as(administrator.arn), input), denied);
    await assert.rejects(custody.keys.create(km.as(auditor.arn), {}), denied);
  });

  it("are deleted only when nobody is in them", async () => {
    await km.custody.groups.create(km.admin, { name: "leaving", policies: [] });
    await member("last", ["leaving"]);
    await assert.rejects(km.custody.groups.delete(km.admin, "leaving"), { code: "GROUP_IN_USE" });
    await km.custody.users.delete(km.admin, "last");
    await km.custody.groups.delete(km.admin, "leaving");
    await assert.rejects(km.custody.groups.delete(km.admin, "leaving"), { code: "GROUP_NOT_FOUND" });
  });

  it("refuse names, policies and second makings that do not fit", async () => {
    const { groups } = km.custody;
    for (const name of ["", "-x", "a b", "a/b", "x".repeat(65), "ü"])
      await assert.rejects(groups.create(km.admin, { name, policies: [] }), { code: "INPUT_INVALID" });
    for (const policy of ["AdministratorAccess", "", "toString", "__proto__"])
      await assert.rejects(groups.create(km.admin, { name: "x", policies: [policy] }), {
        code: "INPUT_INVALID",
      });
    await assert.rejects(groups.create(km.admin, { name: "KMS-Users", policies: [] }), { code: "GROUP_EXISTS" });
    await assert.rejects(groups.setPolicies(km.admin, "nobodys", []), { code: "GROUP_NOT_FOUND" });
  });
});
