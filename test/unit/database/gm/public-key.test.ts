import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatPublicKey, parsePublicKey } from "../../../../src/database/gm/public-key.ts";

/** The public key that the published manual of the `fctools` program prints. */
const published =
  "04dfe998c7c5febbfe7784e0c19bcd3157206152602b7268bf1dfb6b74aef6aa0e84459854298b8357b0635e1f951bc9c1530ea01c87ad562dcbe8b4cc64b10238";
const invalid = { code: "PUBLIC_KEY_INVALID", exitCode: 2 };

describe("public key of a setting or an option", () => {
  it("reads the published one, in either case, and writes it in lower case", () => {
    assert.equal(formatPublicKey(parsePublicKey(published, "public-key")), published);
    assert.equal(formatPublicKey(parsePublicKey(published.toUpperCase(), "public-key")), published);
  });

  for (const [what, text] of [
    ["an empty text", ""],
    ["one digit less", published.slice(0, -1)],
    ["one digit more", `${published}0`],
    ["no 04 in front", published.slice(2)],
    ["a compressed point", `02${published.slice(2, 66)}`],
    ["a hybrid point", `06${published.slice(2)}`],
    ["0x in front", `0x${published}`],
    ["white space at its end", `${published}\n`],
    ["a letter that is no digit", `${published.slice(0, -1)}g`],
    ["a changed digit: the point is off the curve", `${published.slice(0, -1)}9`],
    ["the point at zero", `04${"0".repeat(128)}`],
    ["a coordinate as large as the field", `04${"f".repeat(128)}`],
  ] as const)
    it(`refuses ${what}, and names the option`, () => {
      assert.throws(() => parsePublicKey(text, "--expubkey"), { ...invalid, message: /^--expubkey / });
    });
});
