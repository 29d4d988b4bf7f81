import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decide } from "../../../../src/custody/policy/evaluate.ts";
import { parseKeyPolicy } from "../../../../src/custody/policy/policy-document.ts";
import type { AuthorizationRequest } from "../../../../src/custody/policy/request.ts";
import { about, alice, identityPolicy, keyPolicy, keyPolicyText, nodeOne, request, root } from "./sample.ts";

type Values = string | number | boolean | readonly (string | number | boolean)[];
type Changes = Partial<AuthorizationRequest>;

/** Does a statement with this condition apply? Asked of an Allow and of a Deny, which must agree. */
function holds(operator: string, name: string, values: Values, changes: Changes = {}): boolean {
  const Condition = { [operator]: { [name]: values } };
  const allowed = decide(request(changes), { keyPolicy: keyPolicy({ Condition }) }).effect === "allow";
  const denied =
    decide(request(changes), { keyPolicy: keyPolicy({}, { Effect: "Deny", Condition }) }).effect === "deny";
  assert.equal(allowed, denied, "an Allow and a Deny with one condition apply to the same requests");
  return allowed;
}

type Case = readonly [operator: string, key: string, values: Values, changes?: Changes];

const node = "kms:EncryptionContext:node";
const keys = "kms:EncryptionContextKeys";
const at = (time: string): Changes => ({ now: new Date(time) });
const from = (sourceIp: string | undefined): Changes => ({ sourceIp });
const grantOf = (...operations: string[]): Changes => ({
  action: "kms:CreateGrant",
  grant: { operations, grantee: nodeOne, constraintType: "EncryptionContextSubset" },
});
const variable = (name: string) => `$\{${name}}`;

const holding: readonly Case[] = [
  ["StringEquals", node, "node-1"],
  ["StringEquals", node, ["node-0", "node-1"]],
  ["StringEquals", "KMS:encryptionCONTEXT:NODE", "node-1"],
  ["StringNotEquals", node, ["node-2", "node-3"]],
  ["StringNotEquals", "kms:EncryptionContext:absent", "x"],
  ["StringEqualsIgnoreCase", node, "NODE-1"],
  ["StringNotEqualsIgnoreCase", node, "NODE-2"],
  ["StringLike", node, "node-?"],
  ["StringLike", node, ["x*", "no*1"]],
  ["StringNotLike", node, "node-2*"],
  ["StringEqualsIfExists", "kms:EncryptionContext:absent", "x"],
  ["StringEquals", "kms:CallerAccount", "111122223333"],
  ["StringEquals", "kms:KeySpec", "SYMMETRIC_DEFAULT"],
  ["StringEquals", "kms:KeyUsage", "ENCRYPT_DECRYPT"],
  ["StringEquals", "kms:KeyOrigin", "AWS_KMS"],
  ["StringEquals", "kms:RequestAlias", "alias/nodes", { requestAlias: "alias/nodes" }],
  ["ForAnyValue:StringEquals", "kms:ResourceAliases", "alias/main"],
  ["ForAnyValue:StringLike", "kms:ResourceAliases", "alias/n*"],
  ["ForAllValues:StringLike", "kms:ResourceAliases", "alias/*"],
  ["ForAllValues:StringEquals", keys, ["node", "network", "other"]],
  ["ForAllValues:StringEquals", keys, "node", { context: {} }],
  ["ForAnyValue:StringEquals", keys, "node"],
  ["ForAnyValue:StringNotEquals", keys, "node"],
  ["ForAllValues:StringNotEquals", keys, "secret"],
  ["ForAnyValue:StringEqualsIfExists", keys, "x", { context: undefined }],
  ["ForAnyValue:StringEquals", node, "node-1"],
  ["Null", keys, false],
  ["Null", keys, true, { context: {} }],
  ["Null", "kms:ViaService", "true"],
  ["Null", "kms:BypassPolicyLockoutSafetyCheck", true],
  ["Bool", "kms:BypassPolicyLockoutSafetyCheck", true, { bypassLockoutCheck: true }],
  ["Bool", "aws:SecureTransport", "TRUE"],
  ["StringEquals", "aws:SecureTransport", "false", { secureTransport: false }],
  ["BoolIfExists", "kms:ReEncryptOnSameKey", "true"],
  ["Bool", "kms:ReEncryptOnSameKey", "true", { reEncryptOnSameKey: true }],
  ["Bool", "kms:GrantIsForAWSResource", "false", grantOf("Decrypt")],
  ["ForAllValues:StringEquals", "kms:GrantOperations", ["Decrypt", "Encrypt"], grantOf("Decrypt")],
  ["StringEquals", "kms:GrantConstraintType", "EncryptionContextSubset", grantOf("Decrypt")],
  ["ArnLike", "kms:GranteePrincipal", "arn:*:*:*:*:node/*", grantOf("Decrypt")],
  ["StringLike", "kms:GranteePrincipal", "*:node/*", grantOf("Decrypt")],
  ["NumericLessThanEquals", "kms:ScheduleKeyDeletionPendingWindowInDays", 7, { pendingWindowDays: 7 }],
  ["NumericGreaterThan", "kms:ScheduleKeyDeletionPendingWindowInDays", "6.5", { pendingWindowDays: 7 }],
  ["NumericNotEquals", "kms:ScheduleKeyDeletionPendingWindowInDays", "8", { pendingWindowDays: 7 }],
  ["NumericEquals", "aws:EpochTime", 1795249815],
  ["DateEquals", "aws:CurrentTime", "2026-11-21T08:30:15Z"],
  ["DateEquals", "aws:CurrentTime", "2026-11-21T16:30:15+08:00"],
  ["DateEquals", "aws:EpochTime", "1795249815"],
  ["DateNotEquals", "aws:CurrentTime", "2026-11-21T08:30:16Z"],
  ["DateLessThan", "aws:CurrentTime", "2026-11-22"],
  ["DateLessThan", "aws:CurrentTime", "2027-01-01T00:00:00Z", at("2026-12-31T23:59:59.999Z")],
  ["DateLessThanEquals", "aws:CurrentTime", "2026-11-21T08:30:15Z"],
  ["DateGreaterThan", "aws:CurrentTime", "2026-11-21T08:30Z"],
  ["DateGreaterThanEquals", "aws:CurrentTime", "2026-11-21T08:30:15Z"],
  ["IpAddress", "aws:SourceIp", "192.0.2.0/24"],
  ["IpAddress", "aws:SourceIp", "192.0.2.7"],
  ["IpAddress", "aws:SourceIp", "0.0.0.0/0"],
  ["IpAddress", "aws:SourceIp", ["10.0.0.0/8", "192.0.2.4/30"]],
  ["IpAddress", "aws:SourceIp", "192.0.2.0/24", from("::ffff:192.0.2.7")],
  ["IpAddress", "aws:SourceIp", "::ffff:192.0.2.0/120"],
  ["IpAddress", "aws:SourceIp", "2001:db8:1234:5678::/64", from("2001:DB8:1234:5678::9")],
  ["IpAddress", "aws:SourceIp", "fe80::/10", from("fe80::1%eth0")],
  ["NotIpAddress", "aws:SourceIp", "10.0.0.0/8"],
  ["NotIpAddress", "aws:SourceIp", "10.0.0.0/8", from(undefined)],
  ["ArnEquals", "aws:PrincipalArn", "arn:aws:iam::*:user/al*"],
  ["ArnLike", "aws:PrincipalArn", alice],
  ["ArnNotEquals", "aws:PrincipalArn", "arn:aws:iam::*:node/*"],
  ["ArnNotLike", "aws:PrincipalArn", ["arn:aws:iam::*:node/*", "arn:aws:iam::*:role/*"]],
  ["StringEquals", "aws:username", "alice"],
  ["StringEquals", "aws:PrincipalType", "User"],
  ["StringEquals", "aws:PrincipalAccount", "111122223333"],
  ["StringEquals", "aws:ResourceTag/TEAM", "ledger"],
  ["StringEquals", "aws:RequestTag/cost", "7", { requestTags: { Cost: "7" } }],
  ["ForAnyValue:StringEquals", "aws:TagKeys", "cost", { tagKeys: ["cost"] }],
  [
    "StringEquals",
    "aws:PrincipalTag/site",
    "a",
    { principal: { arn: alice, account: "111122223333", type: "U", tags: { site: "a" } } },
  ],
  ["StringEquals", "kms:EncryptionContext:user", variable("aws:username"), { context: { user: "alice" } }],
  ["StringLike", "kms:EncryptionContext:user", `${variable("aws:USERNAME")}-*`, { context: { user: "alice-laptop" } }],
  ["StringEqualsIgnoreCase", "kms:EncryptionContext:user", variable("aws:username"), { context: { user: "ALICE" } }],
  ["StringLike", node, `a${variable("*")}`, { context: { node: "a*" } }],
  ["StringEquals", "kms:EncryptionContext:__proto__", "x", { context: JSON.parse('{"__proto__":"x"}') }],
  ["StringEquals", "kms:EncryptionContext:constructor", "x", { context: { constructor: "x" } as never }],
];

const failing: readonly Case[] = [
  ["StringEquals", node, "Node-1"],
  ["StringEquals", node, "node-*"],
  ["StringEquals", node, ""],
  ["StringEquals", "kms:EncryptionContext:absent", "x"],
  ["StringEquals", "kms:EncryptionContext:node ", "node-1"],
  ["StringEquals", "kms:EncryptionContext:\u212Aey", "x", { context: { key: "x" } }],
  ["StringNotEquals", node, ["node-2", "node-1"]],
  ["StringNotEqualsIgnoreCase", node, "NODE-1"],
  ["StringLike", node, "Node-?"],
  ["StringLike", node, "node-??"],
  ["StringNotLike", node, "node-*"],
  ["StringEqualsIfExists", node, "node-2"],
  ["StringEquals", "kms:CallerAccount", "111122223334"],
  ["StringEquals", "kms:RequestAlias", "alias/nodes"],
  ["StringEquals", "kms:ViaService", "ec2.us-west-2.amazonaws.com"],
  ["ForAllValues:StringEquals", keys, "node"],
  ["ForAnyValue:StringEquals", keys, "Node"],
  ["ForAnyValue:StringEquals", keys, "node", { context: {} }],
  ["ForAnyValue:StringNotEquals", keys, ["node", "network"]],
  ["ForAnyValue:StringNotEquals", keys, "x", { context: undefined }],
  ["ForAllValues:StringNotEquals", keys, "node"],
  ["ForAllValues:StringEquals", "kms:GrantOperations", "Decrypt", grantOf("Decrypt", "Encrypt")],
  ["ForAnyValue:StringEquals", "kms:ResourceAliases", "alias/none"],
  ["Null", keys, true],
  ["Null", "aws:SourceIp", "false", from(undefined)],
  ["Bool", "aws:SecureTransport", "false"],
  ["Bool", "kms:GrantIsForAWSResource", "false"],
  ["NumericEquals", "kms:ScheduleKeyDeletionPendingWindowInDays", "7", { pendingWindowDays: 8 }],
  ["NumericLessThan", "kms:ScheduleKeyDeletionPendingWindowInDays", "7", { pendingWindowDays: 7 }],
  ["NumericGreaterThanEquals", "kms:ScheduleKeyDeletionPendingWindowInDays", "7"],
  ["DateLessThan", "aws:CurrentTime", "2026-11-21T08:30:15Z"],
  ["DateLessThan", "aws:CurrentTime", "2027-01-01T00:00:00Z", at("2027-01-01T00:00:00.000Z")],
  ["DateGreaterThan", "aws:CurrentTime", "2026-11-21T08:30:15Z"],
  ["DateNotEquals", "aws:EpochTime", "1795249815"],
  ["IpAddress", "aws:SourceIp", "192.0.3.0/24"],
  ["IpAddress", "aws:SourceIp", "192.0.2.8/29", from("192.0.2.7")],
  ["IpAddress", "aws:SourceIp", "0.0.0.0/0", from(undefined)],
  ["IpAddress", "aws:SourceIp", "0.0.0.0/0", from("2001:db8::1")],
  ["IpAddress", "aws:SourceIp", "::/0"],
  ["IpAddress", "aws:SourceIp", "0.0.0.0/0", from("not an address")],
  ["NotIpAddress", "aws:SourceIp", ["10.0.0.0/8", "192.0.2.0/24"]],
  ["ArnLike", "aws:PrincipalArn", "arn:aws:*:user/alice:x:y"],
  ["ArnLike", "aws:PrincipalArn", "arn:aws:iam:*:*:node/*"],
  ["ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::*:user/*"],
  ["StringEquals", "aws:username", "root", { principal: { arn: root, account: "111122223333", type: "Account" } }],
  ["StringEquals", "kms:EncryptionContext:user", variable("aws:username"), { context: { user: "bob" } }],
  [
    "StringLike",
    "kms:EncryptionContext:user",
    variable("aws:username"),
    {
      principal: { arn: "arn:aws:iam::111122223333:user/*", account: "111122223333", type: "User" },
      context: { user: "anyone" },
    },
  ],
  ["StringLike", node, `a${variable("*")}`, { context: { node: "ab" } }],
  ["StringEquals", "kms:EncryptionContext:__proto__", "x"],
  ["StringEquals", "kms:EncryptionContext:constructor", "function Object() { [native code] }"],
  ["StringLike", "kms:EncryptionContext:toString", "*"],
  ["StringLike", "aws:ResourceTag/hasOwnProperty", "*"],
];

const titleOf = ([operator, name, values, changes]: Case) =>
  `${operator} ${name} ${JSON.stringify(values)}${changes === undefined ? "" : ` for ${JSON.stringify(changes)}`}`;

describe("a condition holds:", () => {
  for (const each of holding) it(titleOf(each), () => assert.equal(holds(...each), true));
});

describe("a condition does not hold:", () => {
  for (const each of failing) it(titleOf(each), () => assert.equal(holds(...each), false));
});

describe("conditions", () => {
  it("are joined by AND over operators and keys", () => {
    const Condition = {
      StringEquals: { [node]: "node-1", "kms:EncryptionContext:network": "consortium" },
      IpAddress: { "aws:SourceIp": "192.0.2.0/24" },
    };
    const rules = { keyPolicy: keyPolicy({ Condition }) };
    assert.equal(decide(request(), rules).effect, "allow");
    assert.equal(decide(request({ context: { node: "node-1" } }), rules).effect, "deny");
    assert.equal(decide(request({ sourceIp: "198.51.100.1" }), rules).effect, "deny");
  });

  it("on a context with two names that differ by case decide for the narrower side", () => {
    const context = { node: "node-1", Node: "node-2" };
    const Condition = { StringEquals: { [node]: "node-1" } };
    assert.equal(decide(request({ context }), { keyPolicy: keyPolicy({ Condition }) }).effect, "deny");
    const denying = keyPolicy({}, { Effect: "Deny", Condition });
    assert.equal(decide(request({ context }), { keyPolicy: denying }).effect, "deny");
  });

  it("on a variable without a value decide for the narrower side", () => {
    const principal = { arn: root, account: "111122223333", type: "Account" };
    for (const operator of ["StringEquals", "StringNotEquals"]) {
      const Condition = { [operator]: { [node]: variable("aws:username") } };
      assert.equal(decide(request({ principal }), { keyPolicy: keyPolicy({ Condition }) }).effect, "deny");
      const denying = keyPolicy({}, { Effect: "Deny", Condition });
      assert.equal(decide(request({ principal }), { keyPolicy: denying }).by, "explicit-deny");
    }
  });

  it("on the key spec also see a key that is only being created", () => {
    const rules = { identityPolicies: [identityPolicy({ Condition: { StringEquals: { "kms:KeySpec": "SM2" } } })] };
    const newKey = { spec: "SM2", usage: "SIGN_VERIFY", origin: "AWS_KMS" };
    assert.equal(decide(about("kms:CreateKey", { newKey }), rules).effect, "allow");
    assert.equal(
      decide(about("kms:CreateKey", { newKey: { ...newKey, spec: "SYMMETRIC_DEFAULT" } }), rules).effect,
      "deny",
    );
    assert.equal(decide(about("kms:ListKeys"), rules).effect, "deny");
  });
});

const refused: readonly (readonly [...Case, "POLICY_MALFORMED" | "POLICY_UNSUPPORTED"])[] = [
  ["StringMatches", node, "x", undefined, "POLICY_UNSUPPORTED"],
  ["stringequals", node, "x", undefined, "POLICY_UNSUPPORTED"],
  ["BinaryEquals", node, "eA==", undefined, "POLICY_UNSUPPORTED"],
  ["toString", node, "x", undefined, "POLICY_UNSUPPORTED"],
  ["IfExists", node, "x", undefined, "POLICY_UNSUPPORTED"],
  ["NullIfExists", node, "true", undefined, "POLICY_UNSUPPORTED"],
  ["ForAnyValue:Null", keys, "true", undefined, "POLICY_UNSUPPORTED"],
  ["ForAllValues:ForAnyValue:StringEquals", keys, "x", undefined, "POLICY_UNSUPPORTED"],
  ["StringEquals", "kms:EncryptionContext", "x", undefined, "POLICY_UNSUPPORTED"],
  ["StringEquals", "kms:EncryptionContext:", "x", undefined, "POLICY_UNSUPPORTED"],
  ["StringEquals", "aws:MultiFactorAuthPresent", "true", undefined, "POLICY_UNSUPPORTED"],
  ["StringEquals", "constructor", "x", undefined, "POLICY_UNSUPPORTED"],
  ["StringEquals", "__proto__", "x", undefined, "POLICY_UNSUPPORTED"],
  ["StringEquals", keys, "x", undefined, "POLICY_MALFORMED"],
  ["ForAllValues:StringEquals", node, "x", undefined, "POLICY_MALFORMED"],
  ["ForAllValues:StringEquals", "aws:RequestTag/a", "x", undefined, "POLICY_MALFORMED"],
  ["StringEquals", "aws:SourceIp", "192.0.2.0/24", undefined, "POLICY_MALFORMED"],
  ["StringEquals", "aws:CurrentTime", "2026-11-21", undefined, "POLICY_MALFORMED"],
  ["IpAddress", node, "192.0.2.0/24", undefined, "POLICY_MALFORMED"],
  ["ArnEquals", "kms:CallerAccount", "111122223333", undefined, "POLICY_MALFORMED"],
  ["ArnEquals", "aws:PrincipalArn", "*", undefined, "POLICY_MALFORMED"],
  ["ArnEquals", "aws:PrincipalArn", "arn:aws:iam::*", undefined, "POLICY_MALFORMED"],
  ["Bool", "aws:SecureTransport", "yes", undefined, "POLICY_MALFORMED"],
  ["Null", keys, "1", undefined, "POLICY_MALFORMED"],
  ["NumericEquals", "aws:EpochTime", "1e9", undefined, "POLICY_MALFORMED"],
  ["DateLessThan", "aws:CurrentTime", "2026-02-30", undefined, "POLICY_MALFORMED"],
  ["DateLessThan", "aws:CurrentTime", "2026-13-01T00:00Z", undefined, "POLICY_MALFORMED"],
  ["DateLessThan", "aws:CurrentTime", "2026-11-21T24:00Z", undefined, "POLICY_MALFORMED"],
  ["DateLessThan", "aws:CurrentTime", "2026-11-21T08:30", undefined, "POLICY_MALFORMED"],
  ["DateLessThan", "aws:CurrentTime", "tomorrow", undefined, "POLICY_MALFORMED"],
  ["IpAddress", "aws:SourceIp", "192.0.2.0/33", undefined, "POLICY_MALFORMED"],
  ["IpAddress", "aws:SourceIp", "192.0.2.0/024", undefined, "POLICY_MALFORMED"],
  ["IpAddress", "aws:SourceIp", "192.0.02.1", undefined, "POLICY_MALFORMED"],
  ["IpAddress", "aws:SourceIp", "192.0.2", undefined, "POLICY_MALFORMED"],
  ["IpAddress", "aws:SourceIp", "2001:db8::/129", undefined, "POLICY_MALFORMED"],
  ["IpAddress", "aws:SourceIp", "fe80::1%eth0", undefined, "POLICY_MALFORMED"],
  ["StringEquals", node, [], undefined, "POLICY_MALFORMED"],
  ["StringEquals", node, [["x"]] as never, undefined, "POLICY_MALFORMED"],
  ["StringEquals", node, null as never, undefined, "POLICY_MALFORMED"],
  ["StringEquals", node, variable("aws:SourceIp"), undefined, "POLICY_UNSUPPORTED"],
  ["StringEquals", node, "$" + "{aws:username", undefined, "POLICY_UNSUPPORTED"],
  ["StringLike", node, `*?${variable("aws:username")}`, undefined, "POLICY_UNSUPPORTED"],
  ["StringLike", node, `*?${"a".repeat(64)}*`, undefined, "POLICY_UNSUPPORTED"],
];

describe("a condition is refused:", () => {
  for (const [operator, name, values, , code] of refused)
    it(titleOf([operator, name, values]), () => {
      const document = keyPolicyText({ Condition: { [operator]: JSON.parse(`{${JSON.stringify(name)}:null}`) } });
      const withValues = document.replace(
        `{${JSON.stringify(name)}:null}`,
        () => `{${JSON.stringify(name)}:${JSON.stringify(values)}}`,
      );
      assert.throws(() => parseKeyPolicy(withValues), { code, path: /^Statement\[0\]\.Condition\["/ });
    });

  it("a variable under Version 2008-10-17, where it would be plain text", () => {
    const document = keyPolicyText({ Condition: { StringEquals: { [node]: variable("aws:username") } } });
    assert.throws(() => parseKeyPolicy(document.replace("2012-10-17", "2008-10-17")), { code: "POLICY_UNSUPPORTED" });
  });
});
