import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { expandAction } from "../../../../src/custody/policy/actions.ts";
import { compilePattern, tokensOf } from "../../../../src/custody/policy/wildcard.ts";

const matches = (pattern: string, text: string) => compilePattern(tokensOf(pattern))(text);

describe("wildcards", () => {
  for (const [pattern, text] of [
    ["", ""],
    ["*", ""],
    ["*", "anything: at/all"],
    ["**", "x"],
    ["a*", "a"],
    ["*a", "ba"],
    ["a*b*c", "abc"],
    ["a*b*c", "a-bb-b-c"],
    ["*aab*", "aaaaab"],
    ["*ab?*", "abaabx"],
    ["?", "x"],
    ["a?c", "abc"],
    ["*.log", "a.log.log"],
    ["node-??", "node-12"],
    ["a.c", "a.c"],
  ] as const)
    it(`match ${JSON.stringify(text)} with ${JSON.stringify(pattern)}`, () =>
      assert.equal(matches(pattern, text), true));

  for (const [pattern, text] of [
    ["", "a"],
    ["?", ""],
    ["a*a", "a"],
    ["ab*ba", "aba"],
    ["a?c", "ac"],
    ["a.c", "abc"],
    ["[a]", "a"],
    ["(a|b)", "a"],
    ["a*b*c", "acb"],
    ["*abc*", "ab-c"],
    ["node-??", "node-1"],
    ["node-?", "node-12"],
    ["A*", "abc"],
    ["^a$", "a"],
    ["\\*", "*"],
  ] as const)
    it(`do not match ${JSON.stringify(text)} with ${JSON.stringify(pattern)}`, () =>
      assert.equal(matches(pattern, text), false));

  it("stay linear where a backtracking matcher would not end", () => {
    const hostile = "a".repeat(100_000);
    assert.equal(matches("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", hostile), false);
    assert.equal(matches(`*${"a".repeat(2000)}b*`, hostile), false);
  });

  it("refuse a long stretch with ? between two stars", () => {
    assert.doesNotThrow(() => compilePattern(tokensOf(`*?${"a".repeat(63)}*`)));
    assert.throws(() => compilePattern(tokensOf(`*?${"a".repeat(64)}*`)), RangeError);
  });
});

describe("action patterns", () => {
  it("expand to the closed list, whatever their case", () => {
    assert.deepEqual(expandAction("KMS:reencrypt*"), ["kms:ReEncryptFrom", "kms:ReEncryptTo"]);
    assert.deepEqual(expandAction("kms:GenerateDataKey"), ["kms:GenerateDataKey"]);
    assert.equal(expandAction("kms:generatedatakey?").length, 0);
  });

  it("know no action that alters or erases the audit chain", () => {
    const aboutAudit = expandAction("*audit*").concat(expandAction("*checkpoint*"));
    assert.deepEqual(aboutAudit, ["strongroom:ReadAudit", "strongroom:VerifyAudit", "strongroom:Checkpoint"]);
  });
});
