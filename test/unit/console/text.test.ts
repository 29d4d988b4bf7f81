import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { en } from "../../../console/src/text/en.ts";
import { dictionaries, isTextKey, textIn } from "../../../console/src/text/text.ts";

const root = join(import.meta.dirname, "../../../console/src");
const placesIn = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();

describe("the console's texts", () => {
  it("are there in every language under the same keys, none empty, with the same parts to fill in", () => {
    for (const [language, dictionary] of Object.entries(dictionaries)) {
      assert.deepEqual(Object.keys(dictionary).sort(), Object.keys(en).sort(), language);
      for (const [key, text] of Object.entries(dictionary)) {
        assert.notEqual(text.trim(), "", `${language} ${key}`);
        assert.deepEqual(placesIn(text), placesIn(en[key as keyof typeof en]), `${language} ${key}`);
      }
    }
  });

  it("in Chinese are Chinese, but for names and commands", () => {
    const same = Object.entries(dictionaries.zh).filter(([, text]) => !/\p{Script=Han}/u.test(text));
    assert.deepEqual(
      same.map(([key]) => key).sort(),
      [
        "error.other",
        "integrations.apiKey",
        "integrations.apiSecret",
        "integrations.command",
        "keys.arn",
        "nodes.identity.tpm",
        "product",
        "signIn.command",
      ].sort(),
    );
  });

  it("fill in what they are given and leave the rest", () => {
    assert.equal(textIn("en")("confirm.revokeNode", { name: "a" }), "Revoke node a?");
    assert.equal(textIn("zh")("confirm.revokeNode", { name: "{name}" }), "吊销节点 {name}？");
    assert.equal(textIn("en")("confirm.revokeNode"), "Revoke node {name}?");
  });

  it("are not found under names that every object has", () => {
    for (const name of ["toString", "__proto__", "constructor", ""]) assert.equal(isTextKey(name), false);
  });

  it("are all used", () => {
    const all = globSync("**/*.{ts,tsx}", { cwd: root })
      .filter((file) => !file.startsWith("text/"))
      .map((file) => readFileSync(join(root, file), "utf8"))
      .join("\n");
    // The ends of these are what the server says, or names of views and themes.
    const putTogether =
      /^(?:error|state|result|theme|nav|nodes\.identity|devices\.trust)\.|^lease\.(?:held|lapsed|none|refused|released)(?:\.meaning)?$/;
    for (const key of Object.keys(en))
      if (!putTogether.test(key) && key !== "language") assert.ok(all.includes(`"${key}"`), `${key} is not used`);
  });
});
