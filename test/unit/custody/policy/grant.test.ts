import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { grantAllows, grantInForce, mayRetireGrant } from "../../../../src/custody/policy/grant.ts";
import { GrantIndex } from "../../../../src/custody/policy/grant-index.ts";
import { checkNewGrant, checkRegrant, type NewGrant } from "../../../../src/custody/policy/grant-rules.ts";
import { alice, bob, by, grant, key, nodeOne, now, request } from "./sample.ts";

const asked = by(nodeOne);

describe("a grant", () => {
  it("allows its operations to its grantee with its key", () => {
    assert.equal(grantAllows(grant(), asked), true);
    assert.equal(grantAllows(grant(), { ...asked, action: "kms:GenerateDataKey" }), true);
  });

  it("allows no other operation, principal or key", () => {
    assert.equal(grantAllows(grant(), { ...asked, action: "kms:Encrypt" }), false);
    assert.equal(grantAllows(grant(), { ...asked, action: "kms:GenerateDataKeyPair" }), false);
    assert.equal(grantAllows(grant(), { ...asked, action: "kms:PutKeyPolicy" }), false);
    assert.equal(grantAllows(grant(), request()), false);
    assert.equal(grantAllows(grant(), by(`${nodeOne}0`)), false);
    assert.equal(grantAllows(grant({ keyId: "another" }), asked), false);
    assert.equal(grantAllows(grant(), { ...asked, resource: undefined }), false);
    assert.equal(
      grantAllows(grant(), { ...asked, resource: { kind: "other", arn: key.arn, account: key.account } }),
      false,
    );
  });

  it("ends at notAfter, to the millisecond", () => {
    const ends = (ms: number) => ({ notAfter: new Date(now.getTime() + ms).toISOString() });
    assert.equal(grantAllows(grant(ends(1)), asked), true);
    assert.equal(grantAllows(grant(ends(0)), asked), false);
    assert.equal(grantAllows(grant(ends(-1)), asked), false);
  });

  it("with an end that cannot be read has ended", () => {
    assert.equal(grantInForce({ notAfter: "soon" }, now), false);
    assert.equal(grantInForce({ notAfter: "" }, now), false);
  });

  it("bound to a context by equality allows that context only", () => {
    const bound = grant({ constraints: { encryptionContextEquals: { node: "node-1", network: "consortium" } } });
    assert.equal(grantAllows(bound, asked), true);
    for (const context of [
      undefined,
      {},
      { node: "node-1" },
      { node: "node-1", network: "consortium", more: "" },
      { node: "node-1", Network: "consortium" },
      { node: "Node-1", network: "consortium" },
    ])
      assert.equal(grantAllows(bound, { ...asked, context }), false);
  });

  it("bound to the empty context allows only that", () => {
    const bound = grant({ constraints: { encryptionContextEquals: {} } });
    assert.equal(grantAllows(bound, { ...asked, context: {} }), true);
    assert.equal(grantAllows(bound, asked), false);
  });

  it("bound to a part of the context allows more pairs, never fewer or others", () => {
    const bound = grant({ constraints: { encryptionContextSubset: { node: "node-1" } } });
    assert.equal(grantAllows(bound, asked), true);
    for (const context of [undefined, {}, { node: "node-2" }, { Node: "node-1" }, { network: "consortium" }])
      assert.equal(grantAllows(bound, { ...asked, context }), false);
  });

  it("bound to a name that every object inherits is not satisfied by inheritance", () => {
    for (const name of ["toString", "constructor", "hasOwnProperty", "__proto__"]) {
      const bound = grant({ constraints: { encryptionContextSubset: JSON.parse(`{"${name}":"x"}`) } });
      assert.equal(grantAllows(bound, asked), false);
      assert.equal(grantAllows(bound, { ...asked, context: JSON.parse(`{"${name}":"x"}`) }), true);
    }
  });

  it("asks no context of operations that carry none", () => {
    const bound = grant({
      operations: ["Decrypt", "DescribeKey"],
      constraints: { encryptionContextSubset: { a: "b" } },
    });
    assert.equal(grantAllows(bound, { ...asked, action: "kms:DescribeKey", context: undefined }), true);
  });

  it("may be retired by its retiring principal, or by a grantee who was given that", () => {
    assert.equal(mayRetireGrant(grant({ retiring: alice }), alice), true);
    assert.equal(mayRetireGrant(grant({ operations: ["RetireGrant"] }), nodeOne), true);
    assert.equal(mayRetireGrant(grant({ operations: ["RetireGrant"] }), alice), false);
    assert.equal(mayRetireGrant(grant(), nodeOne), false);
  });
});

const symmetric = { usage: "ENCRYPT_DECRYPT", symmetric: true };
const fresh = (changes: Partial<NewGrant> = {}): NewGrant => ({
  grantee: nodeOne,
  operations: ["Decrypt"],
  ...changes,
});
const later = "2026-12-01T00:00:00.000Z";

describe("a new grant", () => {
  it("is accepted when it makes sense", () => {
    checkNewGrant(fresh(), symmetric, now);
    checkNewGrant(fresh({ notAfter: later, name: "node-1/db", retiring: alice }), symmetric, now);
    checkNewGrant(fresh({ constraints: { encryptionContextEquals: {} } }), symmetric, now);
    checkNewGrant(fresh({ operations: ["Sign", "GetPublicKey"] }), { usage: "SIGN_VERIFY", symmetric: false }, now);
    checkNewGrant(fresh({ operations: ["VerifyMac"] }), { usage: "GENERATE_VERIFY_MAC", symmetric: true }, now);
  });

  const nine = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`k${index}`, "v"]));
  const refused: readonly (readonly [string, unknown, { usage: string; symmetric: boolean }?])[] = [
    ["without operations", { operations: [] }],
    ["with operations that are text", { operations: "Decrypt" }],
    ["with an unknown operation", { operations: ["PutKeyPolicy"] }],
    ["with an action instead of an operation", { operations: ["kms:Decrypt"] }],
    ["with a wildcard", { operations: ["*"] }],
    ["with an inherited name as operation", { operations: ["constructor"] }],
    ["with an operation twice", { operations: ["Decrypt", "Decrypt"] }],
    ["to sign with a key that encrypts", { operations: ["Sign"] }],
    ["to decrypt with a key that signs", {}, { usage: "SIGN_VERIFY", symmetric: false }],
    [
      "to make data keys with an asymmetric key",
      { operations: ["GenerateDataKey"] },
      { ...symmetric, symmetric: false },
    ],
    ["to nobody", { grantee: "" }],
    ["to everybody", { grantee: "*" }],
    ["to a pattern", { grantee: "arn:aws:iam::111122223333:node/*" }],
    ["to a name without account", { grantee: "node-1" }],
    ["retired by a pattern", { retiring: "*" }],
    ["that has ended", { notAfter: "2026-11-21T08:30:15.249Z" }],
    ["that ends now", { notAfter: now.toISOString() }],
    ["with an end that is no time", { notAfter: "tomorrow" }],
    ["with an end in another form", { notAfter: "2026-12-01" }],
    ["with an end that is a number", { notAfter: 4_000_000_000_000 }],
    ["with a name of other characters", { name: "a b" }],
    ["with an empty name", { name: "" }],
    ["with both constraints", { constraints: { encryptionContextEquals: {}, encryptionContextSubset: { a: "b" } } }],
    ["with no constraint in its constraints", { constraints: {} }],
    ["with an unknown constraint", { constraints: { encryptionContextEquals: {}, sourceIp: "10.0.0.1" } }],
    ["with an empty subset, which binds nothing", { constraints: { encryptionContextSubset: {} } }],
    ["with nine pairs", { constraints: { encryptionContextSubset: nine } }],
    ["with a value of 385 characters", { constraints: { encryptionContextSubset: { a: "x".repeat(385) } } }],
    ["with a value that is a number", { constraints: { encryptionContextSubset: { a: 1 } } }],
    ["with an empty context name", { constraints: { encryptionContextSubset: { "": "x" } } }],
    ["with a list as context", { constraints: { encryptionContextEquals: [] } }],
    [
      "with constraints that bind none of its operations",
      { operations: ["DescribeKey"], constraints: { encryptionContextEquals: {} } },
    ],
    [
      "with constraints on a key that signs",
      { operations: ["Sign"], constraints: { encryptionContextEquals: {} } },
      { usage: "SIGN_VERIFY", symmetric: false },
    ],
  ];
  for (const [title, changes, usage = symmetric] of refused)
    it(`is refused ${title}`, () =>
      assert.throws(() => checkNewGrant(fresh(changes as Partial<NewGrant>), usage, now), { code: "GRANT_INVALID" }));
});

describe("a grant made by right of a grant", () => {
  const parent = grant({
    id: "parent",
    operations: ["Decrypt", "GenerateDataKey", "CreateGrant"],
    constraints: { encryptionContextSubset: { node: "node-1" } },
    notAfter: later,
  });
  const child = (changes: Partial<NewGrant> = {}): NewGrant => ({
    grantee: bob,
    operations: ["Decrypt"],
    constraints: { encryptionContextSubset: { node: "node-1" } },
    notAfter: later,
    ...changes,
  });

  it("may hold as much or less", () => {
    assert.equal(checkRegrant(child(), [grant(), parent]).id, "parent");
    checkRegrant(child({ constraints: { encryptionContextSubset: { node: "node-1", more: "x" } } }), [parent]);
    checkRegrant(child({ constraints: { encryptionContextEquals: { node: "node-1", more: "x" } } }), [parent]);
    checkRegrant(child({ notAfter: "2026-11-30T00:00:00.000Z" }), [parent]);
  });

  const { notAfter: _end, ...endless } = child();
  const { constraints: _bounds, ...unbound } = child();
  for (const [title, wanted] of [
    ["another operation", child({ operations: ["Decrypt", "Encrypt"] })],
    ["no constraint", unbound],
    ["another context", child({ constraints: { encryptionContextSubset: { node: "node-2" } } })],
    ["a context that leaves the pair out", child({ constraints: { encryptionContextEquals: {} } })],
    ["no end", endless],
    ["a later end", child({ notAfter: "2026-12-01T00:00:00.001Z" })],
  ] as const)
    it(`may not hold ${title}`, () => assert.throws(() => checkRegrant(wanted, [parent]), { code: "GRANT_INVALID" }));

  it("needs one grant with CreateGrant that covers all of it", () => {
    assert.throws(() => checkRegrant(child(), []), { code: "GRANT_INVALID" });
    const without = { ...parent, operations: ["Decrypt" as const] };
    assert.throws(() => checkRegrant(child(), [without]), { code: "GRANT_INVALID" });
    const other = grant({ id: "other", operations: ["Encrypt", "CreateGrant"] });
    assert.throws(() => checkRegrant(child({ operations: ["Decrypt", "Encrypt"] }), [parent, other]), {
      code: "GRANT_INVALID",
    });
  });

  it("may not loosen equality into a subset, or into another equality", () => {
    const strict = { ...parent, constraints: { encryptionContextEquals: { node: "node-1" } } };
    assert.throws(() => checkRegrant(child(), [strict]), { code: "GRANT_INVALID" });
    const wider = child({ constraints: { encryptionContextEquals: { node: "node-1", more: "x" } } });
    assert.throws(() => checkRegrant(wider, [strict]), { code: "GRANT_INVALID" });
    checkRegrant(child({ constraints: { encryptionContextEquals: { node: "node-1" } } }), [strict]);
  });
});

describe("the index of grants", () => {
  it("gives the grants of one key and grantee, as added, replaced and removed", () => {
    const index = new GrantIndex();
    index.add(grant());
    index.add(grant({ id: "grant-2" }));
    index.add(grant({ id: "grant-3", grantee: bob }));
    index.add(grant({ id: "grant-4", keyId: "other" }));
    assert.deepEqual(
      index.of(key.keyId, nodeOne).map((each) => each.id),
      ["grant-1", "grant-2"],
    );
    index.add(grant({ grantee: alice }));
    assert.deepEqual(
      index.of(key.keyId, nodeOne).map((each) => each.id),
      ["grant-2"],
    );
    index.remove("grant-2");
    index.remove("never there");
    assert.deepEqual(index.of(key.keyId, nodeOne), []);
    assert.deepEqual(
      index.of(key.keyId, alice).map((each) => each.id),
      ["grant-1"],
    );
    assert.deepEqual(index.of("unknown", alice), []);
  });

  it("finds what was made by right of a grant, and by right of that", () => {
    const index = new GrantIndex();
    for (const [id, parent] of [["a"], ["b", "a"], ["c", "b"], ["d", "x"], ["e", "c"], ["f", "f"]] as const)
      index.add(grant({ id, ...(parent === undefined ? {} : { parent }) }));
    assert.deepEqual([...index.withDescendants(["a"])].sort(), ["a", "b", "c", "e"]);
    assert.deepEqual([...index.withDescendants(["f"])], ["f"]);
    assert.deepEqual([...index.withDescendants(["e"])], ["e"]);
    assert.deepEqual([...index.withDescendants(["c", "x", "e"])].sort(), ["c", "d", "e", "x"]);
    assert.deepEqual([...index.withDescendants([])], []);
  });
});
