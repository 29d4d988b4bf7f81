import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ChainBuildError } from "../../../../src/chain/build/errors.ts";
import { parseIni } from "../../../../src/chain/build/ini.ts";
import { scaled, seed } from "../../../run-settings.ts";

const parse = (text: string, secrets: readonly string[] = []) => parseIni(Buffer.from(text), "config.ini", secrets);

function refused(text: string, message: RegExp): void {
  assert.throws(() => parse(text), { name: "ChainBuildError", code: "CONFIG_INVALID", message });
}

describe("an ini file", () => {
  it("has sections, keys, values and comments, with blanks around them", () => {
    const { entries, sections } = parse("; one\n# two\n[a]\r\n  key = some value \n\tother=\n[b]\nnode.0=x: 1=y");
    assert.deepEqual(sections, ["a", "b"]);
    assert.deepEqual(
      entries.map(({ section, key, value, line }) => [section, key, value, line]),
      [
        ["a", "key", "some value", 4],
        ["a", "other", "", 5],
        ["b", "node.0", "x: 1=y", 7],
      ],
    );
  });

  it("keeps what looks like a comment inside a value", () => {
    assert.equal(parse("[a]\nkey=1 ; 2").entries[0]?.value, "1 ; 2");
  });

  it("locates a secret and never makes it a string", () => {
    const text = "[security]\n  password = 12 34 \n";
    const { entries, secrets } = parse(text, ["security.password"]);
    assert.deepEqual(entries, []);
    const found = secrets.get("security.password");
    assert.equal(text.slice(found?.start, found?.end), "12 34");
  });

  it("is refused with a section or key that stands twice", () => {
    refused("[a]\n[b]\n[a]\n", /line 3: the section \[a\] stands twice/);
    refused("[a]\nx=1\nx=1\n", /line 3: x stands twice in \[a\]/);
    refused("[security]\npassword=1\npassword=2\n", /line 3/);
  });

  it("is refused with a line that is nothing, without showing the line", () => {
    assert.throws(
      () => parse("[security]\nhunter2\n"),
      (error) => error instanceof ChainBuildError && /line 2/.test(error.message) && !error.message.includes("hunter2"),
    );
  });

  it("is refused with a key before any section, a malformed section or key, a control character, or bytes not UTF-8", () => {
    refused("x=1\n", /line 1: x stands before/);
    refused("[a\n", /line 1 is not a \[section\]/);
    refused("[a b]\n", /line 1 is not/);
    refused("[a]\nx y=1\n", /line 2 has a malformed key/);
    refused("[a]\n=1\n", /line 2 has a malformed key/);
    refused("[a]\nx=\u0001\n", /line 2 has a control character/);
    assert.throws(() => parseIni(Buffer.from([0x5b, 0x61, 0x5d, 0x0a, 0x78, 0x3d, 0xff]), "c"), /line 2 is not UTF-8/);
  });

  it("is refused over its limits", () => {
    refused(`[a]\nx=${"y".repeat(4096)}\n`, /line 2 is longer than 4096 bytes/);
    refused(`;${"y".repeat(1024 * 1024)}`, /the most is 1048576/);
  });

  it("of any bytes is read or refused, never anything else", () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.string({ unit: "binary" })), (input) => {
        const bytes = typeof input === "string" ? Buffer.from(`[a]\n${input}`) : Buffer.from(input);
        try {
          parseIni(bytes, "config.ini");
        } catch (error) {
          assert.ok(error instanceof ChainBuildError);
        }
      }),
      { seed, numRuns: scaled(1000) },
    );
  });
});
