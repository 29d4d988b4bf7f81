import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type JsonNode, JsonSyntaxError, maxJsonDepth, readJsonPrefix } from "../../../src/client/json-bytes.ts";

function textOf(node: JsonNode | undefined): string {
  assert.equal(node?.kind, "string");
  return node.bytes.toString("utf8");
}

describe("JSON read from bytes", () => {
  it("ignores what follows the first value", () => {
    assert.equal(textOf(readJsonPrefix(Buffer.from('"a" trailing'))), "a");
    assert.equal(readJsonPrefix(Buffer.from("{}{")).kind, "object");
  });

  it("keeps a number's digits as they are", () => {
    const node = readJsonPrefix(Buffer.from("123456789012345678901234567890"));
    assert.deepEqual(node, { kind: "number", text: "123456789012345678901234567890" });
  });

  it("resolves every escape inside the buffer that was read", () => {
    const body = Buffer.from(String.raw`"\"\\\/\b\f\n\r\t\u0041\u5bc6\ud83d\ude00"`);
    const node = readJsonPrefix(body);
    assert.equal(textOf(node), '"\\/\b\f\n\r\tA密😀');
    body.fill(0);
    assert.equal(textOf(node).replaceAll("\0", ""), "");
  });

  it("leaves no tail of an escaped secret behind", () => {
    const body = Buffer.from(String.raw`"\u0041\u0042"`);
    readJsonPrefix(body);
    assert.equal(body.toString("latin1", 3).replaceAll("\0", ""), '"');
  });

  for (const [what, text] of [
    ["nothing", ""],
    ["white space alone", " \n"],
    ["a word", "hello"],
    ["a comment", "/* */ 1"],
    ["an open object", '{"a":1'],
    ["an open array", "[1,"],
    ["an open string", '"abc'],
    ["a string that ends in a backslash", '"abc\\'],
    ["a comma at an object's end", '{"a":1,}'],
    ["a comma at an array's end", "[1,]"],
    ["a member without a name", "{1:2}"],
    ["a member without a colon", '{"a" 1}'],
    ["a member name twice", '{"a":1,"a":2}'],
    ["a member name twice, once escaped", String.raw`{"a":1,"\u0061":2}`],
    ["a leading zero", "01x".replace("x", ".")],
    ["a bare minus", "-"],
    ["a plus", "+1"],
    ["a raw line end in a string", '"a\nb"'],
    ["an escape that is none of JSON's", String.raw`"\x41"`],
    ["three hex digits", String.raw`"\u041"`],
    ["half of a surrogate pair", String.raw`"\ud800"`],
    ["the wrong half of a surrogate pair", String.raw`"\udc00"`],
    ["two high halves", String.raw`"\ud800\ud800"`],
  ] as const)
    it(`refuses ${what}`, () => {
      assert.throws(() => readJsonPrefix(Buffer.from(text)), JsonSyntaxError);
    });

  it("refuses a string that is not UTF-8", () => {
    assert.throws(() => readJsonPrefix(Buffer.from([0x22, 0xff, 0x22])), JsonSyntaxError);
    assert.throws(() => readJsonPrefix(Buffer.from([0x22, 0xc0, 0x80, 0x22])), JsonSyntaxError);
  });

  it("refuses nesting over the limit without a stack overflow", () => {
    const at = (depth: number) => Buffer.from("[".repeat(depth) + "]".repeat(depth));
    assert.equal(readJsonPrefix(at(maxJsonDepth)).kind, "array");
    assert.throws(() => readJsonPrefix(at(maxJsonDepth + 1)), JsonSyntaxError);
    assert.throws(() => readJsonPrefix(Buffer.from("[".repeat(1_000_000))), JsonSyntaxError);
  });
});
