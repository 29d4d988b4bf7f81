import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { actions } from "../../../src/custody/policy/actions.ts";
import { parseIpAddress, parseIpRange } from "../../../src/custody/policy/condition-values.ts";
import { PolicyError } from "../../../src/custody/policy/errors.ts";
import { decide } from "../../../src/custody/policy/evaluate.ts";
import { type Grant, grantAllows, grantOperations } from "../../../src/custody/policy/grant.ts";
import { type CompiledPolicy, parsePolicy } from "../../../src/custody/policy/policy-document.ts";
import type { AuthorizationRequest } from "../../../src/custody/policy/request.ts";
import { compilePattern, tokensOf } from "../../../src/custody/policy/wildcard.ts";
import { scaled, seed } from "../../run-settings.ts";

const runs = (full: number) => ({ seed, numRuns: scaled(full) });

const account = "111122223333";
const principals = ["user/alice", "user/bob", "node/n1", "root"].map((name) => `arn:aws:iam::${account}:${name}`);
const keyIds = ["k1", "k2"];
const keyArn = (id: string) => `arn:aws:kms:local:${account}:key/${id}`;
const contextNames = ["node", "Node", "__proto__", "constructor", "a"];

const context = fc
  .uniqueArray(fc.tuple(fc.constantFrom(...contextNames), fc.constantFrom("x", "y", "")), {
    selector: ([name]) => name,
  })
  .map(
    (pairs): Record<string, string> => JSON.parse(`{${pairs.map(([name, value]) => `"${name}":"${value}"`).join()}}`),
  );

const request: fc.Arbitrary<AuthorizationRequest> = fc.record({
  principal: fc.constantFrom(...principals).map((arn) => ({ arn, account, type: "User" })),
  action: fc.constantFrom(...actions),
  resource: fc.option(
    fc.constantFrom(...keyIds).map((keyId) => ({
      kind: "key" as const,
      keyId,
      arn: keyArn(keyId),
      account,
      aliases: [`alias/${keyId}`],
      spec: "SYMMETRIC_DEFAULT",
      usage: "ENCRYPT_DECRYPT",
      origin: "AWS_KMS",
    })),
    { nil: undefined, freq: 5 },
  ),
  context: fc.option(context, { nil: undefined }),
  sourceIp: fc.option(fc.oneof(fc.ipV4(), fc.ipV6()), { nil: undefined }),
  secureTransport: fc.boolean(),
  now: fc.date({ min: new Date("2026-01-01"), max: new Date("2027-01-01"), noInvalidDate: true }),
});

const condition = fc.constantFrom<readonly [string, object]>(
  ["StringEquals", { "kms:EncryptionContext:node": "x" }],
  ["StringNotEquals", { "kms:EncryptionContext:constructor": ["x", "y"] }],
  ["StringLike", { "kms:EncryptionContext:__proto__": "?" }],
  ["StringEquals", { "kms:EncryptionContext:a": "$" + "{aws:username}" }],
  ["ForAllValues:StringEquals", { "kms:EncryptionContextKeys": ["node", "a"] }],
  ["ForAnyValue:StringEquals", { "kms:EncryptionContextKeys": "node" }],
  ["Null", { "kms:EncryptionContextKeys": "false" }],
  ["Bool", { "aws:SecureTransport": "true" }],
  ["IpAddress", { "aws:SourceIp": ["0.0.0.0/1", "8000::/1"] }],
  ["NotIpAddress", { "aws:SourceIp": "128.0.0.0/2" }],
  ["DateLessThan", { "aws:CurrentTime": "2026-07-01" }],
  ["ArnLike", { "aws:PrincipalArn": "arn:aws:iam::*:user/*" }],
);

const statement = fc.record({
  Action: fc.constantFrom("*", "kms:*", "kms:Decrypt", ["kms:Get*", "strongroom:*"], "kms:?ncrypt"),
  Resource: fc.constantFrom("*", keyArn("k1"), keyArn("k?")),
  Condition: fc.oneof(
    fc.constant({}),
    condition.map(([operator, pairs]) => ({ [operator]: pairs })),
  ),
});
const withPrincipal = fc
  .tuple(statement, fc.constantFrom("*", ...principals, account))
  .map(([parts, AWS]) => ({ ...parts, Principal: { AWS } }));

type Parts = object;
const compile = (kind: "key" | "identity", Effect: string, list: readonly Parts[]): CompiledPolicy =>
  parsePolicy(JSON.stringify({ Version: "2012-10-17", Statement: list.map((parts) => ({ ...parts, Effect })) }), kind);
const compileBoth = (kind: "key" | "identity", allows: readonly Parts[], denies: readonly Parts[]): CompiledPolicy =>
  parsePolicy(
    JSON.stringify({
      Version: "2012-10-17",
      Statement: [
        ...allows.map((parts) => ({ ...parts, Effect: "Allow" })),
        ...denies.map((parts) => ({ ...parts, Effect: "Deny" })),
      ],
    }),
    kind,
  );

const grants: fc.Arbitrary<Grant[]> = fc.array(
  fc.record({
    id: fc.uuid(),
    keyId: fc.constantFrom(...keyIds),
    grantee: fc.constantFrom(...principals),
    operations: fc.subarray([...grantOperations], { minLength: 1 }),
    createdAt: fc.constant("2026-01-01T00:00:00.000Z"),
  }),
  { maxLength: 3 },
);

describe("decisions, whatever the policies and requests", () => {
  const some = (each: fc.Arbitrary<Parts>) => fc.array(each, { minLength: 1, maxLength: 3 });

  it("are never widened by a further Deny", () => {
    fc.assert(
      fc.property(
        request,
        some(withPrincipal),
        some(statement),
        some(withPrincipal),
        some(statement),
        grants,
        (asked, keyAllows, identityAllows, keyDenies, identityDenies, held) => {
          const before = decide(asked, {
            keyPolicy: compile("key", "Allow", keyAllows),
            identityPolicies: [compile("identity", "Allow", identityAllows)],
            grants: held,
          });
          const after = decide(asked, {
            keyPolicy: compileBoth("key", keyAllows, keyDenies),
            identityPolicies: [compileBoth("identity", identityAllows, identityDenies)],
            grants: held,
          });
          if (before.effect === "deny") assert.equal(after.effect, "deny");
          else assert.ok(after.effect === "allow" || after.by === "explicit-deny");
        },
      ),
      runs(20_000),
    );
  });

  it("are never narrowed by a further Allow or grant", () => {
    fc.assert(
      fc.property(request, some(withPrincipal), some(withPrincipal), grants, (asked, allows, more, held) => {
        const before = decide(asked, { keyPolicy: compile("key", "Allow", allows) });
        const after = decide(asked, { keyPolicy: compile("key", "Allow", [...allows, ...more]), grants: held });
        if (before.effect === "allow") assert.equal(after.effect, "allow");
      }),
      runs(10_000),
    );
  });

  it("deny by default without rules, and with rules that only deny", () => {
    fc.assert(
      fc.property(request, some(withPrincipal), some(statement), (asked, inKey, inIdentity) => {
        assert.deepEqual(decide(asked, {}), { effect: "deny", by: "default" });
        const keyPolicy = compile("key", "Deny", inKey);
        const identityPolicies = [compile("identity", "Deny", inIdentity)];
        assert.equal(decide(asked, { keyPolicy, identityPolicies }).effect, "deny");
      }),
      runs(10_000),
    );
  });

  it("deny everything under a Deny for everyone, grants included", () => {
    const keyPolicy = compileBoth("key", [], [{ Principal: "*", Action: "*", Resource: "*" }]);
    fc.assert(
      fc.property(request, grants, (asked, held) => {
        fc.pre(asked.resource !== undefined);
        assert.equal(decide(asked, { keyPolicy, grants: held }).by, "explicit-deny");
      }),
      runs(5000),
    );
  });

  it("rest on a grant only when that grant allows the request, and before its end", () => {
    fc.assert(
      fc.property(request, grants, fc.integer({ min: -2, max: 2 }), (asked, held, offsetMs) => {
        const notAfter = new Date(asked.now.getTime() + offsetMs).toISOString();
        const ending = held.map((each) => ({ ...each, notAfter }));
        const decision = decide(asked, { grants: ending });
        assert.equal(
          decision.effect === "allow",
          ending.some((each) => grantAllows(each, asked)),
        );
        if (offsetMs <= 0) assert.equal(decision.effect, "deny");
      }),
      runs(10_000),
    );
  });
});

/** What wildcards mean, written down as plainly as can be. */
function naiveMatch(pattern: string, text: string): boolean {
  if (pattern === "") return text === "";
  const rest = pattern.slice(1);
  if (pattern.startsWith("*")) return naiveMatch(rest, text) || (text !== "" && naiveMatch(pattern, text.slice(1)));
  return text !== "" && (pattern.startsWith("?") || pattern[0] === text[0]) && naiveMatch(rest, text.slice(1));
}

describe("the wildcard matcher", () => {
  it("agrees with the plain definition", () => {
    const pattern = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 9 });
    const text = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 12 });
    fc.assert(
      fc.property(pattern, text, (left, right) =>
        assert.equal(compilePattern(tokensOf(left))(right), naiveMatch(left, right)),
      ),
      runs(200_000),
    );
  });

  it("finds every text that a pattern was made from", () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1, maxLength: 5 }), fc.array(fc.string()), (parts, filling) => {
        const literal = parts.map((part) => part.replaceAll(/[*?]/g, "x"));
        const text = literal
          .map((part, index) => part + (index < literal.length - 1 ? (filling[index] ?? "") : ""))
          .join("");
        assert.equal(compilePattern(tokensOf(literal.join("*")))(text), true);
      }),
      runs(20_000),
    );
  });
});

describe("addresses", () => {
  it("are in their own range, and in the range of each shorter prefix", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const range = parseIpRange(text);
        assert.ok(range !== undefined && parseIpAddress(text) !== undefined, text);
        assert.deepEqual([...range.address], [...(parseIpAddress(text) ?? [])]);
      }),
      runs(20_000),
    );
  });

  it("never make the parser throw", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."0123456789abf:./%") }), (text) => {
        parseIpRange(text);
        parseIpAddress(text);
      }),
      runs(50_000),
    );
  });
});

describe("the policy parser", () => {
  const parses = (text: string, kind: "key" | "identity") => {
    try {
      assert.equal(parsePolicy(text, kind).kind, kind);
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      assert.ok(!/\p{Cc}/u.test(error.message), "a message is one printable line");
    }
  };

  it("answers any JSON with a policy or a PolicyError", () => {
    fc.assert(fc.property(fc.json(), fc.constantFrom("key" as const, "identity" as const), parses), runs(20_000));
  });

  it("answers any text and any cut or altered document with a policy or a PolicyError", () => {
    const document = JSON.stringify({
      Version: "2012-10-17",
      Statement: [
        {
          Sid: "a",
          Effect: "Allow",
          Principal: "*",
          Action: "kms:*",
          Resource: "*",
          Condition: { StringLike: { "kms:EncryptionContext:a": ["x*", "?"] } },
        },
      ],
    });
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.nat(document.length), fc.nat(5), (text, at, cut) => {
        parses(text, "key");
        parses(document.slice(0, at) + text + document.slice(at + cut), "key");
      }),
      runs(20_000),
    );
  });

  it("answers documents of the right shape with any names and values in it", () => {
    const names = fc.oneof(
      fc.constantFrom("Version", "Statement", "Effect", "Principal", "Action", "Resource", "Condition", "NotAction"),
      fc.constantFrom("StringLike", "Null", "IpAddress", "DateLessThan", "NumericEquals", "ArnLike", "__proto__"),
      fc.constantFrom("kms:EncryptionContext:x", "aws:SourceIp", "aws:CurrentTime", "aws:PrincipalArn", "AWS"),
    );
    const leaf = fc.oneof(
      fc.constantFrom("2012-10-17", "Allow", "Deny", "*", "kms:*", "arn:aws:kms:::key/*", "1.2.3.4/8"),
      fc.string(),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
    );
    const { node } = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 6, depthSize: "medium" },
        leaf,
        fc.array(tie("node"), { maxLength: 3 }),
        fc.dictionary(names, tie("node"), { maxKeys: 6 }),
      ),
    }));
    fc.assert(
      fc.property(node, (value) => parses(JSON.stringify(value), "key")),
      runs(40_000),
    );
    const shaped = fc.record(
      { Effect: leaf, Principal: node, Action: node, Resource: node, Condition: node },
      { requiredKeys: ["Effect", "Action"] },
    );
    fc.assert(
      fc.property(shaped, (each) => parses(JSON.stringify({ Version: "2012-10-17", Statement: each }), "key")),
      runs(40_000),
    );
  });

  it("survives nesting as deep as 32 KiB allow", () => {
    const deep = "[".repeat(16_000) + "]".repeat(16_000);
    parses(deep, "key");
    parses(`{"Statement":${deep}}`, "identity");
  });
});
