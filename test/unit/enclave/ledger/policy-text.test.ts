import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { endorsingOrganisations } from "../../../../src/enclave/ercc/endorsement-policy.ts";
import type { Role } from "../../../../src/enclave/ledger/membership.ts";
import { formatPolicy, parsePolicy } from "../../../../src/enclave/ledger/policy-text.ts";
import { EndorsementPolicy, policyOf, policyReference } from "../../../../src/enclave/ledger/signature-policy.ts";

const mspIds = ["Org1MSP", "Org2MSP", "Org3MSP"];
const three = "'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer'";

function isMet(text: string, ...endorsers: readonly (readonly [string, Role])[]): boolean {
  const policy = new EndorsementPolicy(parsePolicy(text).policy, mspIds);
  return policy.isSatisfiedBy(endorsers.map(([mspId, role]) => ({ mspId, role })));
}

describe("an endorsement policy as text", () => {
  it("is byte for byte the policy that is made of the same organisations", () => {
    assert.deepEqual(parsePolicy(`OutOf(2, ${three})`).policy, policyOf(2, mspIds));
    assert.deepEqual(parsePolicy(`AND(${three})`).policy, policyOf(3, mspIds));
    assert.deepEqual(parsePolicy(`OR(${three})`).policy, policyOf(1, mspIds));
  });

  it("names its organisations, each once", () => {
    const { mspIds: named, policy } = parsePolicy("OR('B.peer', AND('A.peer', 'B.admin'), 'B.peer')");
    assert.deepEqual(named, ["B", "A"]);
    assert.deepEqual([...endorsingOrganisations(policy)].sort(), ["A", "B"]);
  });

  it("may have rules in rules, other quotes, spaces and a single principal", () => {
    const nested = `AND( "Org1MSP.peer" ,OR('Org2MSP.peer','Org3MSP.peer'))`;
    assert.ok(isMet(nested, ["Org1MSP", "peer"], ["Org3MSP", "peer"]));
    assert.equal(isMet(nested, ["Org2MSP", "peer"], ["Org3MSP", "peer"]), false);
    assert.ok(isMet("'Org1MSP.member'", ["Org1MSP", "client"]));
    assert.deepEqual(parsePolicy(" 'my.org-1.admin' ").mspIds, ["my.org-1"]);
  });

  it("is written as it is read", () => {
    for (const text of [
      `OutOf(2, ${three})`,
      "AND('A.peer', OR('B.member', 'C.admin'))",
      "OutOf(1, 'A.client')",
      "'A.orderer'",
    ])
      assert.equal(formatPolicy(parsePolicy(text).policy), text);
    assert.equal(formatPolicy(policyReference("/Channel/Application/Endorsement")), "/Channel/Application/Endorsement");
  });

  it("is refused where it is anything else, with the place", () => {
    const wrong: readonly (readonly [string, RegExp])[] = [
      ["", /character 1 /],
      ["OutOf", /character 1 /],
      ["OutOf(2)", /character 7 .* how many/],
      ["OutOf('A.peer')", /character 7 .* how many/],
      ["OutOf(, 'A.peer')", /how many/],
      ["OutOf(-1, 'A.peer')", /how many/],
      ["OutOf(1.5, 'A.peer')", /how many/],
      ["AND()", /character 5 /],
      ["AND('A.peer'", /character 13 .*comma or a closing/],
      ["AND('A.peer' 'B.peer')", /comma or a closing/],
      ["AND('A.peer',)", /character 14 /],
      ["OR('A.peer'))", /character 13 .*the end/],
      ["'A.peer' or worse", /the end/],
      ["A.peer", /character 1 /],
      ["'A'", /principal/],
      ["'A.judge'", /principal/],
      ["'.peer'", /principal/],
      ["'A.Peer'", /principal/],
      ["'A\n.peer'", /principal/],
      [`NOT(${three})`, /character 1 /],
    ];
    for (const [text, message] of wrong)
      assert.throws(() => parsePolicy(text), { code: "MALFORMED", message, hint: /OutOf/ }, text);
  });

  it("is refused where nobody, or more than there are, would have to sign, and where it is too deep or too long", () => {
    const refused = { code: "MALFORMED" };
    for (const count of [0, 4, 999]) assert.throws(() => parsePolicy(`OutOf(${count}, ${three})`), refused);
    assert.throws(() => parsePolicy(`${"OR(".repeat(20)}'A.peer'${")".repeat(20)}`), refused);
    assert.throws(() => parsePolicy(`OR(${"'A.peer', ".repeat(300)}'A.peer')`), refused);
    assert.throws(() => parsePolicy(`OR('A.peer'${" ".repeat(4096)})`), refused);
  });
});
