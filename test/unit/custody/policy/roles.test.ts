import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ActionName, actions, expandAction } from "../../../../src/custody/policy/actions.ts";
import { decide } from "../../../../src/custody/policy/evaluate.ts";
import { defaultKeyPolicy } from "../../../../src/custody/policy/lockout.ts";
import { parseIdentityPolicy, parseKeyPolicy } from "../../../../src/custody/policy/policy-document.ts";
import { managedPolicies, policiesOfRole } from "../../../../src/custody/policy/roles.ts";
import type { RoleName } from "../../../../src/custody/service.ts";
import { about, account, alice, grant, key, keyPolicy, nodeOne, request } from "./sample.ts";

const standard = parseKeyPolicy(defaultKeyPolicy(account));
const keyUse = [
  "kms:*crypt*",
  "kms:GenerateDataKey*",
  "kms:GenerateMac",
  "kms:VerifyMac",
  "kms:Sign",
  "kms:Verify",
].flatMap(expandAction);

/** What a role may do with a key that has the default policy, and without any key. */
function allowed(role: RoleName, keyPolicyInForce = standard): readonly ActionName[] {
  return actions.filter((action) => {
    const identityPolicies = policiesOfRole(role);
    return (
      decide(request({ action }), { keyPolicy: keyPolicyInForce, identityPolicies }).effect === "allow" ||
      decide(about(action), { identityPolicies }).effect === "allow"
    );
  });
}

describe("an administrator", () => {
  it("manages keys, policies, grants, principals and nodes, and reads the audit chain", () => {
    for (const action of ["kms:CreateKey", "kms:PutKeyPolicy", "kms:CreateGrant", "kms:ScheduleKeyDeletion"] as const)
      assert.ok(allowed("administrator").includes(action), action);
    for (const action of ["strongroom:CreatePrincipal", "strongroom:RevokeNode", "strongroom:ReadAudit"] as const)
      assert.ok(allowed("administrator").includes(action), action);
  });

  it("uses no key, even where a key policy or a grant would let it", () => {
    const naming = keyPolicy({ Principal: { AWS: alice } });
    for (const action of keyUse) {
      assert.ok(!allowed("administrator", naming).includes(action), action);
      const rules = { keyPolicy: naming, identityPolicies: policiesOfRole("administrator") };
      assert.equal(decide(request({ action }), { ...rules, grants: [grant({ grantee: alice })] }).by, "explicit-deny");
    }
  });
});

describe("an auditor", () => {
  it("reads, and nothing else", () => {
    const changing = allowed("auditor").filter(
      (action) => !/:(Describe|Get|List|Read|Checkpoint|LegacyList|VerifyAudit)/.test(action),
    );
    assert.deepEqual(changing, []);
    for (const action of [
      "strongroom:ReadAudit",
      "strongroom:Checkpoint",
      "kms:GetKeyPolicy",
      "kms:ListGrants",
    ] as const)
      assert.ok(allowed("auditor").includes(action), action);
  });

  it("changes nothing, even where a key policy or a grant would let it", () => {
    const naming = keyPolicy({ Principal: { AWS: alice } });
    assert.deepEqual(allowed("auditor", naming), allowed("auditor"));
    const grants = [grant({ grantee: alice })];
    assert.equal(
      decide(request(), { keyPolicy: standard, identityPolicies: policiesOfRole("auditor"), grants }).effect,
      "deny",
    );
  });
});

describe("an operator", () => {
  const identityPolicies = policiesOfRole("operator");
  const grantTo = (grantee: string, operations: string[], constrained = true) =>
    decide(
      request({
        action: "kms:CreateGrant",
        context: { node: "node-1" },
        grant: { grantee, operations, constraintType: constrained ? "EncryptionContextSubset" : undefined },
      }),
      { keyPolicy: standard, identityPolicies },
    ).effect;

  it("makes legacy calls and enrols nodes", () => {
    assert.deepEqual(allowed("operator"), [
      "kms:DescribeKey",
      "kms:ListAliases",
      "kms:ListKeys",
      "strongroom:EnrollNode",
      "strongroom:LegacyEncrypt",
      "strongroom:LegacyList",
      "strongroom:LegacyRegister",
      "strongroom:ListNodes",
    ]);
  });

  it("grants to nodes under a context, and nothing wider", () => {
    assert.equal(grantTo(nodeOne, ["Decrypt", "GenerateDataKey"]), "allow");
    assert.equal(grantTo(alice, ["Decrypt"]), "deny");
    assert.equal(grantTo(`arn:aws:iam::${account}:user/node/x`, ["Decrypt"]), "deny");
    assert.equal(grantTo(nodeOne, ["Decrypt"], false), "deny");
    assert.equal(grantTo(nodeOne, ["Decrypt", "CreateGrant"]), "deny");
  });
});

describe("a key user", () => {
  it("encrypts, decrypts, makes data keys, signs and authenticates where the key policy lets identity policies decide", () => {
    assert.deepEqual(
      allowed("key-user").filter((action) => !keyUse.includes(action)),
      ["kms:DescribeKey", "kms:GenerateRandom", "kms:GetPublicKey"],
    );
    for (const action of keyUse) assert.ok(allowed("key-user").includes(action), action);
    assert.ok(allowed("key-user").includes("kms:Decrypt"));
    const closed = keyPolicy({ Principal: { AWS: nodeOne } });
    assert.equal(decide(request(), { keyPolicy: closed, identityPolicies: policiesOfRole("key-user") }).effect, "deny");
  });
});

describe("a node", () => {
  it("may do nothing of its own", () => assert.deepEqual(allowed("node"), []));
});

describe("the FISCO door", () => {
  it("opens registered cipherDataKeys, and nothing else", () =>
    assert.deepEqual(allowed("fisco-door"), ["strongroom:LegacyDecrypt"]));
});

describe("every role", () => {
  it("other than the administrator's cannot touch policies, principals or key slots", () => {
    for (const role of ["auditor", "operator", "key-user", "fisco-door", "node"] as const)
      for (const action of ["kms:PutKeyPolicy", "strongroom:CreatePrincipal", "strongroom:ManageSlots"] as const)
        assert.ok(!allowed(role).includes(action), `${role} ${action}`);
  });
});

describe("AWSKeyManagementServicePowerUser", () => {
  it("creates and lists keys, and uses none that it did not create", () => {
    const identityPolicies = [parseIdentityPolicy(managedPolicies.AWSKeyManagementServicePowerUser)];
    assert.equal(decide(about("kms:CreateKey"), { identityPolicies }).effect, "allow");
    assert.equal(decide(about("kms:GenerateRandom"), { identityPolicies }).effect, "allow");
    for (const action of [...keyUse, "kms:PutKeyPolicy", "kms:CreateGrant"] as const)
      assert.equal(
        decide(request({ action, resource: key }), { keyPolicy: standard, identityPolicies }).effect,
        "deny",
      );
  });
});
