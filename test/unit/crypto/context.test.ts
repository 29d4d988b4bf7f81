import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Context, contextContains, contextEquals, encodeContext } from "../../../src/crypto/context.ts";

const invalid = { code: "CONTEXT_INVALID" };

describe("context", () => {
  it("encodes as docs/formats.md says, and an empty one as nothing", () => {
    assert.equal(encodeContext({ b: "2", a: "1" }).toString("hex"), "00000001610000000131" + "00000001620000000132");
    assert.equal(encodeContext({}).length, 0);
    assert.equal(encodeContext({ a: "" }).toString("hex"), "000000016100000000");
  });

  it("sorts by bytes, where JavaScript's own order of UTF-16 units differs", () => {
    const encoded = encodeContext({ "\u{10000}": "", "\uff5e": "" });
    assert.ok(encoded.indexOf(Buffer.from("\uff5e")) < encoded.indexOf(Buffer.from("\u{10000}")));
  });

  it("keeps names that are special to JavaScript as names", () => {
    const parsed = JSON.parse('{"__proto__":"a","constructor":"b"}') as Context;
    assert.equal(encodeContext(parsed).length, 4 + 9 + 4 + 1 + 4 + 11 + 4 + 1);
    assert.ok(!contextContains({}, { constructor: "x" } as Context));
    assert.ok(!contextEquals({ a: "1" }, parsed));
  });

  it("does not normalise: two spellings of one letter are two names", () => {
    assert.notDeepEqual(encodeContext({ "\u00e9": "" }), encodeContext({ "e\u0301": "" }));
  });

  it("refuses lone surrogates, an empty name, values that are not text, and what is too large", () => {
    const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`n${i}`, ""]));
    for (const bad of [
      { "\ud800": "" },
      { a: "\udc00" },
      { "": "x" },
      { a: 1 },
      { a: null },
      { a: ["x"] },
      { ["n".repeat(257)]: "" },
      { ["é".repeat(129)]: "" },
      many(65),
      { a: "v".repeat(8192) },
    ])
      assert.throws(() => encodeContext(bad as unknown as Context), invalid, JSON.stringify(bad).slice(0, 40));
    assert.equal(encodeContext(many(64)).length > 0, true);
    assert.equal(encodeContext({ a: "v".repeat(8192 - 9) }).length, 8192);
  });

  it("compares whole maps and parts", () => {
    assert.ok(contextEquals({ a: "1", b: "2" }, { b: "2", a: "1" }));
    assert.ok(!contextEquals({ a: "1" }, { a: "1", b: "2" }));
    assert.ok(!contextEquals({ a: "1", b: "2" }, { a: "1" }));
    assert.ok(!contextEquals({ a: "1" }, { b: "1" }));
    assert.ok(contextContains({ a: "1", b: "2" }, { a: "1" }));
    assert.ok(contextContains({ a: "1" }, {}));
    assert.ok(!contextContains({ a: "1" }, { a: "2" }));
    assert.ok(!contextContains({}, { a: "1" }));
  });
});
