import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ZoneRules } from "../../../../../src/volume/sealfs/keys/rules.ts";
import type { ZoneProtection } from "../../../../../src/volume/sealfs/keys/zone.ts";

function rules(...given: readonly (readonly [string, ZoneProtection])[]): ZoneRules {
  return new ZoneRules(given.map(([pattern, becomes]) => ({ pattern, becomes })));
}

describe("zone rules", () => {
  it("match whole paths, name by name, with * for any one name", () => {
    const influx = rules(["data/*/*/*", "sealed"], ["wal/*/*/*", "sealed"], ["tmp", "plain"]);
    assert.equal(influx.match(["data", "db", "autogen", "12"]), "sealed");
    assert.equal(influx.match(["tmp"]), "plain");
    for (const path of [
      [],
      ["data"],
      ["data", "db", "rp"],
      ["data", "db", "rp", "1", "x"],
      ["tmp", "a"],
      ["Tmp"],
      ["data", "db", "rp", ""].slice(0, 3),
    ])
      assert.equal(influx.match(path), undefined, path.join("/"));
  });

  it("let the more literal win, whatever the order", () => {
    const given = [
      ["data/*/*", "sealed"],
      ["data/open/*", "plain"],
      ["data/*/meta", "table-sealed"],
      ["*/open/meta", "sealed"],
    ] as const;
    for (const order of [given, given.toReversed()]) {
      const both = rules(...order);
      assert.equal(both.match(["data", "open", "rp"]), "plain");
      assert.equal(both.match(["data", "x", "meta"]), "table-sealed");
      assert.equal(both.match(["data", "open", "meta"]), "plain");
      assert.equal(both.match(["other", "open", "meta"]), "sealed");
    }
  });

  it("match names by their bytes", () => {
    const chinese = rules(["数据/*", "sealed"]);
    assert.equal(chinese.match([Buffer.from("数据").toString("latin1"), "\u00ff"]), "sealed");
    assert.equal(chinese.match(["数据", "a"]), undefined);
  });

  it("know which folders they are about, or about what lies below them", () => {
    const influx = rules(["data/*/rp", "sealed"]);
    for (const path of [[], ["data"], ["data", "any"], ["data", "any", "rp"]]) assert.ok(influx.reachBelow(path));
    for (const path of [["wal"], ["data", "any", "other"], ["data", "any", "rp", "x"]])
      assert.ok(!influx.reachBelow(path));
    assert.ok(!rules().reachBelow([]));
  });

  it("are refused when a pattern is none", () => {
    const bad = [
      "",
      "/",
      "a/",
      "/a",
      "a//b",
      ".",
      "a/..",
      "a*",
      "**",
      "a/b*/c",
      "\0",
      "a\ud800",
      "x".repeat(256),
      `${"a/".repeat(64)}a`,
      "x".repeat(1025),
    ];
    for (const pattern of bad)
      assert.throws(() => rules([pattern, "plain"]), { code: "RULE_INVALID", exitCode: 2 }, JSON.stringify(pattern));
  });

  it("are refused when one is given twice, or there are too many", () => {
    assert.throws(() => rules(["a/*", "plain"], ["b", "plain"], ["a/*", "sealed"]), { code: "RULE_INVALID" });
    const many = Array.from({ length: 20_001 }, (_, at) => [`a${at}`, "plain"] as const);
    assert.throws(() => rules(...many), { code: "RULE_INVALID" });
    assert.equal(rules(...many.slice(1)).match(["a20000"]), "plain");
  });
});
