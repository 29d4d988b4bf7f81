import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkKeepsAccess, defaultKeyPolicy, keepsAccess } from "../../../../src/custody/policy/lockout.ts";
import { parseKeyPolicy } from "../../../../src/custody/policy/policy-document.ts";
import { policiesOfRole } from "../../../../src/custody/policy/roles.ts";
import { account, alice, bob, by, identityPolicy, keyPolicy, otherAccount, request, root } from "./sample.ts";

const asked = request({ action: "kms:PutKeyPolicy" });
const administrator = policiesOfRole("administrator");

describe("the lock-out check", () => {
  it("passes the default policy for an administrator and for the account's root", () => {
    const standard = parseKeyPolicy(defaultKeyPolicy(account));
    assert.equal(keepsAccess(standard, asked, administrator), true);
    assert.equal(keepsAccess(standard, by(root, { action: "kms:PutKeyPolicy" }), []), true);
  });

  it("passes a policy that names its author", () => {
    const policy = keyPolicy({ Principal: { AWS: alice }, Action: "kms:PutKeyPolicy" });
    assert.equal(keepsAccess(policy, asked, []), true);
  });

  it("looks at PutKeyPolicy whatever request brings the policy", () => {
    const policy = keyPolicy({ Principal: { AWS: alice }, Action: "kms:CreateKey" });
    assert.equal(keepsAccess(policy, request({ action: "kms:CreateKey" }), administrator), false);
  });

  for (const [title, policy, policies] of [
    ["names only others", keyPolicy({ Principal: { AWS: bob } }), administrator],
    ["names another account", keyPolicy({ Principal: { AWS: otherAccount } }), administrator],
    ["allows its author other things", keyPolicy({ Principal: { AWS: alice }, NotAction: "kms:Put*" }), administrator],
    ["leaves it to identity policies that do not allow it", keyPolicy({ Principal: { AWS: root } }), []],
    ["denies what it allows", keyPolicy({}, { Effect: "Deny", Action: "kms:PutKeyPolicy" }), administrator],
    ["only denies", keyPolicy({ Effect: "Deny", Principal: { AWS: bob } }), administrator],
    ["is for another key", keyPolicy({ Resource: "arn:aws:kms:r:111122223333:key/other" }), administrator],
    [
      "asks for circumstances that are not so",
      keyPolicy({ Condition: { IpAddress: { "aws:SourceIp": "10.0.0.0/8" } } }),
      administrator,
    ],
    [
      "meets a Deny of the author's own policies",
      keyPolicy({}),
      [identityPolicy({ Effect: "Deny", Action: "kms:Put*" })],
    ],
  ] as const)
    it(`stops a policy that ${title}`, () => {
      assert.equal(keepsAccess(policy, asked, policies), false);
      assert.throws(() => checkKeepsAccess(policy, asked, policies), { code: "POLICY_LOCKOUT" });
    });
});
