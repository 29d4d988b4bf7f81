import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type PolicyErrorCode, policyErrors } from "../../../../src/custody/policy/errors.ts";
import { maxPolicyBytes, parseIdentityPolicy, parseKeyPolicy } from "../../../../src/custody/policy/policy-document.ts";
import { alice, keyArn, keyPolicyText, root } from "./sample.ts";

const statement = { Effect: "Allow", Principal: "*", Action: "kms:*", Resource: "*" };
const text = (parts: object) => JSON.stringify({ Version: "2012-10-17", Statement: [{ ...statement, ...parts }] });
const without = (name: keyof typeof statement) => {
  const { [name]: _, ...rest } = statement;
  return JSON.stringify({ Version: "2012-10-17", Statement: [rest] });
};

describe("a policy document", () => {
  it("may hold one statement outside a list, and either version or none", () => {
    for (const Version of ["2012-10-17", "2008-10-17", undefined])
      assert.equal(parseKeyPolicy(JSON.stringify({ Version, Statement: statement })).allows.length, 1);
    assert.equal(parseKeyPolicy(JSON.stringify({ Statement: statement })).version, "2008-10-17");
  });

  it("names its statements by Sid, else by place", () => {
    const policy = parseKeyPolicy(keyPolicyText({ Sid: "Allow use of the key" }, { Effect: "Deny" }));
    assert.equal(policy.allows[0]?.id, "Allow use of the key");
    assert.equal(policy.denies[0]?.id, "Statement[1]");
  });

  it("tells which single principals it names", () => {
    const policy = parseKeyPolicy(
      keyPolicyText({ Principal: { AWS: [alice, root, "*"] } }, { Principal: { AWS: alice } }),
    );
    assert.deepEqual(policy.principalArns, [alice]);
  });

  it("is read as one statement per key ARN or star", () => {
    for (const Resource of ["*", keyArn, [keyArn, "*"], "arn:aws:kms:*:*:key/*"])
      assert.doesNotThrow(() => parseKeyPolicy(text({ Resource })));
  });

  it("may be as long as 32 KiB and not a byte longer", () => {
    const padded = (bytes: number) => text({}).padEnd(bytes);
    assert.doesNotThrow(() => parseKeyPolicy(padded(maxPolicyBytes)));
    assert.throws(() => parseKeyPolicy(padded(maxPolicyBytes + 1)), { code: "POLICY_MALFORMED" });
    assert.throws(() => parseKeyPolicy(text({ Sid: "密".repeat(maxPolicyBytes / 3) })), /bytes, the most is/);
  });
});

const refused: readonly (readonly [title: string, document: string, code: PolicyErrorCode, message: RegExp])[] = [
  ["what is not JSON", "{", "POLICY_MALFORMED", /^the document is not JSON$/],
  ["an empty text", "", "POLICY_MALFORMED", /not JSON/],
  ["a list", "[]", "POLICY_MALFORMED", /object is expected/],
  ["null", "null", "POLICY_MALFORMED", /object is expected/],
  [
    "an unknown version",
    JSON.stringify({ Version: "2012-10-18", Statement: statement }),
    "POLICY_MALFORMED",
    /^Version: /,
  ],
  [
    "an unknown element at the top",
    JSON.stringify({ Statement: statement, Extra: 1 }),
    "POLICY_UNSUPPORTED",
    /"Extra"/,
  ],
  ["no statement", JSON.stringify({ Version: "2012-10-17" }), "POLICY_MALFORMED", /no Statement/],
  [
    "an empty list of statements",
    JSON.stringify({ Statement: [] }),
    "POLICY_MALFORMED",
    /^Statement: the list is empty/,
  ],
  ["a statement that is text", JSON.stringify({ Statement: ["x"] }), "POLICY_MALFORMED", /^Statement\[0\]: an object/],
  [
    "an unknown element in a statement",
    text({ Actions: "kms:*" }),
    "POLICY_UNSUPPORTED",
    /^Statement\[0\]: .*"Actions"/,
  ],
  ["an element in another case", text({ effect: "Deny" }), "POLICY_UNSUPPORTED", /"effect"/],
  ["a prototype's name as an element", '{"Statement":[],"__proto__":{}}', "POLICY_UNSUPPORTED", /"__proto__"/],
  ["an effect in small letters", text({ Effect: "allow" }), "POLICY_MALFORMED", /^Statement\[0\]\.Effect/],
  ["a missing effect", without("Effect"), "POLICY_MALFORMED", /Effect/],
  ["a missing action", without("Action"), "POLICY_MALFORMED", /Action \(or NotAction\) is missing/],
  ["a missing resource", without("Resource"), "POLICY_MALFORMED", /Resource \(or NotResource\) is missing/],
  ["a missing principal", without("Principal"), "POLICY_MALFORMED", /Principal \(or NotPrincipal\) is missing/],
  ["Action beside NotAction", text({ NotAction: "kms:Sign" }), "POLICY_MALFORMED", /exclude each other/],
  ["an empty list of actions", text({ Action: [] }), "POLICY_MALFORMED", /^Statement\[0\]\.Action: the list is empty/],
  [
    "an action that does not exist",
    text({ Action: ["kms:*", "kms:Decript"] }),
    "POLICY_UNSUPPORTED",
    /Action\[1\]: "kms:Decript" .*typing error/,
  ],
  ["another service's action", text({ Action: "s3:GetObject" }), "POLICY_UNSUPPORTED", /"s3:GetObject"/],
  ["an action that is a number", text({ Action: 1 }), "POLICY_MALFORMED", /Action/],
  ["a resource that is no ARN", text({ Resource: "key/1" }), "POLICY_MALFORMED", /"key\/1"/],
  [
    "a resource of another service in a key policy",
    text({ Resource: "arn:aws:s3:::bucket" }),
    "POLICY_MALFORMED",
    /ARN of a key/,
  ],
  [
    "an alias as a key policy's resource",
    text({ Resource: "arn:aws:kms:r:111122223333:alias/x" }),
    "POLICY_MALFORMED",
    /ARN of a key/,
  ],
  [
    "a variable in a resource",
    text({ Resource: "arn:aws:kms:*:*:key/$" + "{aws:username}" }),
    "POLICY_UNSUPPORTED",
    /variables/,
  ],
  ["a principal as bare text", text({ Principal: alice }), "POLICY_MALFORMED", /stands in \{"AWS"/],
  ["a wildcard inside a principal", text({ Principal: { AWS: `${alice}*` } }), "POLICY_MALFORMED", /without wildcards/],
  ["a principal with a blank", text({ Principal: { AWS: `${alice} ` } }), "POLICY_MALFORMED", /Principal/],
  ["a short account id", text({ Principal: { AWS: "11112222333" } }), "POLICY_MALFORMED", /account id/],
  ["a service principal", text({ Principal: { Service: "ec2.amazonaws.com" } }), "POLICY_UNSUPPORTED", /"Service"/],
  ["an empty principal", text({ Principal: {} }), "POLICY_MALFORMED", /no principal is named/],
  ["a Sid given twice", keyPolicyText({ Sid: "A" }, { Sid: "A" }), "POLICY_MALFORMED", /"A" is given twice/],
  ["a Sid with a line break", text({ Sid: "a\nb" }), "POLICY_MALFORMED", /control character/],
  [
    "a member given twice",
    '{"Statement":[{"Effect":"Deny","Effect" : "Allow"}]}',
    "POLICY_MALFORMED",
    /"Effect" is given twice/,
  ],
  [
    "a member given twice in other spelling",
    '{"Id":"x","I\\u0064":"y","Statement":[]}',
    "POLICY_MALFORMED",
    /"Id" is given twice/,
  ],
  ["a condition that is a list", text({ Condition: [] }), "POLICY_MALFORMED", /^Statement\[0\]\.Condition: an object/],
  ["an operator without keys", text({ Condition: { StringEquals: {} } }), "POLICY_MALFORMED", /no condition key/],
];

describe("a policy document is refused for", () => {
  for (const [title, document, code, message] of refused)
    it(title, () => assert.throws(() => parseKeyPolicy(document), { code, message }));

  it("NotPrincipal with Allow, which would let in everyone else", () => {
    assert.throws(() => parseKeyPolicy(keyPolicyText({ NotPrincipal: { AWS: alice } })), {
      code: "POLICY_UNSUPPORTED",
    });
    assert.doesNotThrow(() => parseKeyPolicy(keyPolicyText({ Effect: "Deny", NotPrincipal: { AWS: alice } })));
  });

  it("a principal in an identity policy", () => {
    assert.throws(() => parseIdentityPolicy(keyPolicyText({})), { code: "POLICY_MALFORMED", message: /no principal/ });
  });

  it("nothing longer than a line, and with nothing of the document unescaped", () => {
    const name = `kms:Evil\u001b[31m\n\u0085\u202e${"x".repeat(500)}`;
    assert.throws(
      () => parseKeyPolicy(text({ Condition: { StringEquals: { [name]: "x" } } })),
      (error: Error) => !/\p{Cc}|\p{Cf}/u.test(error.message) && error.message.length < 400,
    );
  });

  it("reasons that all stand in the table of codes", () => {
    for (const [, , code] of refused) assert.ok(code in policyErrors);
  });
});
