import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { integrationArn } from "../../../../src/custody/arn.ts";
import { type Decision, decide, type Rules } from "../../../../src/custody/policy/evaluate.ts";
import type { AuthorizationRequest } from "../../../../src/custody/policy/request.ts";
import { policyOfName } from "../../../../src/custody/policy/roles.ts";
import {
  about,
  account,
  alice,
  bob,
  by,
  grant,
  identityPolicy,
  key,
  keyArn,
  keyPolicy,
  nodeOne,
  otherAccount,
  request,
  root,
} from "./sample.ts";

const rootPolicy = keyPolicy({ Sid: "root", Principal: { AWS: root } });
const mayDecrypt = identityPolicy({ Sid: "use", Action: "kms:Decrypt" });
const foreigner = `arn:aws:iam::${otherAccount}:user/carol`;

function decided(asked: AuthorizationRequest, rules: Rules): string {
  const decision = decide(asked, rules);
  return `${decision.effect} by ${decision.by}`;
}

describe("a decision", () => {
  it("is a denial by default when there are no rules", () => {
    assert.deepEqual(decide(request(), {}), { effect: "deny", by: "default" } satisfies Decision);
    assert.deepEqual(decide(about("kms:CreateKey"), {}), { effect: "deny", by: "default" });
  });

  it("names the statement or grant it rests on", () => {
    const named = keyPolicy({ Sid: "alice decrypts", Principal: { AWS: alice }, Action: "kms:Decrypt" });
    assert.deepEqual(decide(request(), { keyPolicy: named }), {
      effect: "allow",
      by: "key-policy",
      statementId: "alice decrypts",
    });
    assert.deepEqual(decide(request(), { keyPolicy: rootPolicy, identityPolicies: [mayDecrypt] }), {
      effect: "allow",
      by: "identity-policy",
      statementId: "use",
    });
    assert.deepEqual(decide(by(nodeOne), { keyPolicy: rootPolicy, grants: [grant()] }), {
      effect: "allow",
      by: "grant",
      grantId: "grant-1",
    });
    const denying = keyPolicy({}, { Sid: "not alice", Effect: "Deny", Principal: { AWS: alice } });
    assert.deepEqual(decide(request(), { keyPolicy: denying }), {
      effect: "deny",
      by: "explicit-deny",
      statementId: "not alice",
    });
  });

  it("refuses to be asked with a broken time or with policies of the wrong kind", () => {
    assert.throws(() => decide(request({ now: new Date(Number.NaN) }), {}), TypeError);
    assert.throws(() => decide(request(), { keyPolicy: mayDecrypt }), TypeError);
    assert.throws(() => decide(request(), { identityPolicies: [rootPolicy] }), TypeError);
  });
});

describe("a key policy", () => {
  it("allows only whom it names, what it names, where it names", () => {
    const rules = { keyPolicy: keyPolicy({ Principal: { AWS: alice }, Action: "kms:Decrypt", Resource: keyArn }) };
    assert.equal(decided(request(), rules), "allow by key-policy");
    assert.equal(decided(by(bob), rules), "deny by default");
    assert.equal(decided(by(`${alice}2`), rules), "deny by default");
    assert.equal(decided(by(alice.toUpperCase()), rules), "deny by default");
    assert.equal(decided(request({ action: "kms:Encrypt" }), rules), "deny by default");
    assert.equal(decided(request({ resource: { ...key, arn: `${keyArn}0` } }), rules), "deny by default");
  });

  it("that names the account lets identity policies decide, and allows the account's root itself", () => {
    for (const name of [root, account]) {
      const policy = keyPolicy({ Principal: { AWS: name } });
      assert.equal(decided(request(), { keyPolicy: policy }), "deny by default");
      assert.equal(
        decided(request(), { keyPolicy: policy, identityPolicies: [mayDecrypt] }),
        "allow by identity-policy",
      );
      assert.equal(decided(by(root), { keyPolicy: policy }), "allow by key-policy");
    }
  });

  it("that does not name the account leaves identity policies without effect", () => {
    const rules = { keyPolicy: keyPolicy({ Principal: { AWS: bob } }), identityPolicies: [mayDecrypt] };
    assert.equal(decided(request(), rules), "deny by default");
  });

  it("that lets the account do some things lets identity policies decide only those", () => {
    const policy = keyPolicy({ Principal: { AWS: root }, Action: "kms:DescribeKey" });
    assert.equal(decided(request(), { keyPolicy: policy, identityPolicies: [mayDecrypt] }), "deny by default");
  });

  it("is missing: identity policies do not stand in for it", () => {
    assert.equal(decided(request(), { identityPolicies: [identityPolicy({})] }), "deny by default");
  });

  it("with NotAction covers everything else", () => {
    const rules = { keyPolicy: keyPolicy({ NotAction: ["kms:Decrypt", "kms:Re*"] }) };
    assert.equal(decided(request({ action: "kms:Encrypt" }), rules), "allow by key-policy");
    assert.equal(decided(request(), rules), "deny by default");
    assert.equal(decided(request({ action: "kms:ReEncryptFrom" }), rules), "deny by default");
  });

  it("with NotResource covers other keys", () => {
    const rules = { keyPolicy: keyPolicy({ NotResource: keyArn }) };
    assert.equal(decided(request(), rules), "deny by default");
    assert.equal(decided(request({ resource: { ...key, arn: `${keyArn}0` } }), rules), "allow by key-policy");
  });
});

describe("an explicit Deny", () => {
  const denyForAlice = { Effect: "Deny", Action: "kms:Decrypt" };

  it("in the key policy wins over key policy, identity policy and grant", () => {
    const rules = {
      keyPolicy: keyPolicy({}, { ...denyForAlice, Principal: { AWS: [alice, nodeOne] } }),
      identityPolicies: [mayDecrypt],
      grants: [grant(), grant({ id: "grant-2", grantee: alice })],
    };
    assert.equal(decided(request(), rules), "deny by explicit-deny");
    assert.equal(decided(by(nodeOne), rules), "deny by explicit-deny");
    assert.equal(decided(by(bob), rules), "allow by key-policy");
  });

  it("in an identity policy wins over the key policy and grants", () => {
    const rules = { keyPolicy: keyPolicy({}), identityPolicies: [mayDecrypt, identityPolicy(denyForAlice)] };
    assert.equal(decided(request(), rules), "deny by explicit-deny");
    assert.equal(decided(by(nodeOne), { ...rules, grants: [grant()] }), "deny by explicit-deny");
  });

  it("for the account concerns all its principals", () => {
    const rules = { keyPolicy: keyPolicy({}, { ...denyForAlice, Principal: { AWS: root } }) };
    assert.equal(decided(request(), rules), "deny by explicit-deny");
    assert.equal(decided(by(root), rules), "deny by explicit-deny");
  });

  it("with NotPrincipal concerns all but those named one by one", () => {
    const rules = { keyPolicy: keyPolicy({}, { ...denyForAlice, NotPrincipal: { AWS: [alice, root] } }) };
    assert.equal(decided(request(), rules), "allow by key-policy");
    assert.equal(decided(by(root), rules), "allow by key-policy");
    assert.equal(decided(by(bob), rules), "deny by explicit-deny");
  });

  it("of other actions, keys or principals leaves the request alone", () => {
    for (const parts of [{ Action: "kms:Encrypt" }, { Resource: `${keyArn}0` }, { Principal: { AWS: bob } }])
      assert.equal(
        decided(request(), { keyPolicy: keyPolicy({}, { ...denyForAlice, ...parts }) }),
        "allow by key-policy",
      );
  });
});

describe("a request about no key", () => {
  it("is decided by identity policies alone", () => {
    const rules = { identityPolicies: [identityPolicy({ Action: ["kms:CreateKey", "strongroom:ReadAudit"] })] };
    assert.equal(decided(about("kms:CreateKey"), rules), "allow by identity-policy");
    assert.equal(decided(about("strongroom:ReadAudit"), rules), "allow by identity-policy");
    assert.equal(decided(about("strongroom:ManageSlots"), rules), "deny by default");
    assert.equal(decided(about("strongroom:ReadAudit"), { grants: [grant({ grantee: alice })] }), "deny by default");
  });

  it("is not covered by a statement about single resources", () => {
    const rules = { identityPolicies: [identityPolicy({ Resource: keyArn })] };
    assert.equal(decided(about("kms:CreateKey"), rules), "deny by default");
  });

  it("may be about another thing with an ARN", () => {
    const thing = { kind: "other" as const, arn: nodeOne, account };
    const rules = { identityPolicies: [identityPolicy({ Action: "strongroom:RevokeNode", Resource: nodeOne })] };
    assert.equal(decided(about("strongroom:RevokeNode", { resource: thing }), rules), "allow by identity-policy");
    const other = { ...thing, arn: `${nodeOne}0` };
    assert.equal(decided(about("strongroom:RevokeNode", { resource: other }), rules), "deny by default");
  });
});

describe("the use of an integration", () => {
  const arnOf = (name: string) => integrationArn({ account, region: "local" }, name);
  const asked = (name: string) =>
    about("strongroom:UseIntegration", { resource: { kind: "other", arn: arnOf(name), account } });
  const use = (Resource: string) => [identityPolicy({ Action: "strongroom:UseIntegration", Resource })];

  it("is given by no permission on keys, and by no managed policy", () => {
    const identityPolicies = [
      identityPolicy({ Action: "kms:*" }),
      identityPolicy({ Action: "strongroom:ListIntegrations" }),
      policyOfName("AWSKeyManagementServicePowerUser"),
    ];
    assert.equal(decided(asked("kms-1"), { identityPolicies }), "deny by default");
  });

  it("is given for one integration, for some or for all", () => {
    assert.equal(decided(asked("kms-1"), { identityPolicies: use(arnOf("kms-1")) }), "allow by identity-policy");
    assert.equal(decided(asked("kms-1"), { identityPolicies: use(arnOf("kms-?")) }), "allow by identity-policy");
    assert.equal(decided(asked("kms-1"), { identityPolicies: use("*") }), "allow by identity-policy");
    for (const other of ["kms-10", "kms-", "*", "kms-1/key"])
      assert.equal(decided(asked(other), { identityPolicies: use(arnOf("kms-1")) }), "deny by default", other);
    assert.equal(decided(asked("kms-1"), { identityPolicies: use(keyArn) }), "deny by default");
  });
});

describe("a principal of another account", () => {
  it("needs both the key policy and an identity policy", () => {
    const asked = by(foreigner);
    for (const AWS of [foreigner, otherAccount, "*"]) {
      const policy = keyPolicy({ Principal: { AWS } });
      assert.equal(decided(asked, { keyPolicy: policy }), "deny by default");
      assert.equal(decided(asked, { keyPolicy: policy, identityPolicies: [mayDecrypt] }), "allow by identity-policy");
    }
    assert.equal(decided(asked, { keyPolicy: rootPolicy, identityPolicies: [mayDecrypt] }), "deny by default");
  });

  it("is let into nothing administrative", () => {
    const rules = { keyPolicy: keyPolicy({ Principal: { AWS: foreigner } }), identityPolicies: [identityPolicy({})] };
    assert.equal(decided(by(foreigner, { action: "kms:PutKeyPolicy" }), rules), "deny by default");
    assert.equal(decided(by(foreigner, { action: "kms:DescribeKey" }), rules), "allow by identity-policy");
  });
});
