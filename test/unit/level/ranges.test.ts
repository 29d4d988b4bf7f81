import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { plainKeyNames } from "../../../src/level/key-names.ts";
import { inScope, orderedRange, unorderedScope } from "../../../src/level/ranges.ts";

const range = (gte: string, lte: string) => ({ gte: Buffer.from(gte), lte: Buffer.from(lte) });

describe("a range over encrypted names", () => {
  it("is every entry when there are no bounds", () => {
    assert.equal(unorderedScope({}), undefined);
  });

  it("may be one sublevel, of any depth and separator", () => {
    for (const [prefix, upper] of [
      ["!a!", '!a"'],
      ["!a!!bc!", '!a!!bc"'],
      ["!!", '!"'],
      ["#x#", "#x$"],
    ] as const)
      assert.deepEqual(unorderedScope(range(prefix, upper))?.prefix.toString(), prefix);
  });

  it("is refused when it is anything else", () => {
    const refused = [
      range("", ""),
      range("!", '"'),
      range("a", "b"),
      range("!a!", '!b"'),
      range("!a!", "!a#"),
      range("!a!b!", '!a!b"'),
      range("!a!!b", "!a!!c"),
      range('!a"!', '!a""'),
      range("!a!", '!a""'),
      { gte: Buffer.from("!a!") },
      { lte: Buffer.from('!a"') },
      { gt: Buffer.from("!a!"), lt: Buffer.from('!a"') },
      { reverse: true },
      { ...range("!a!", '!a"'), reverse: true },
      { ...range("!a!", '!a"'), gt: Buffer.from("!a!x") },
    ];
    for (const each of refused) assert.throws(() => unorderedScope(each), { code: "LEVEL_NOT_SUPPORTED" });
  });

  it("holds what a plain range of the same bounds holds", () => {
    const scope = { prefix: Buffer.from("!a!"), upper: Buffer.from('!a"') };
    for (const [name, inside] of [
      ["!a!", true],
      ["!a!x", true],
      ['!a"', true],
      ['!a"x', false],
      ["!a", false],
      ["!b!", false],
      ["", false],
    ] as const)
      assert.equal(inScope(Buffer.from(name), scope), inside, name);
  });
});

describe("a range over plain names", () => {
  it("never reaches beyond the entries", () => {
    assert.deepEqual(orderedRange(plainKeyNames, {}), { gte: Buffer.of(1), lt: Buffer.of(2) });
    assert.deepEqual(orderedRange(plainKeyNames, { lte: Buffer.alloc(0) }), { gte: Buffer.of(1), lte: Buffer.of(1) });
    assert.deepEqual(orderedRange(plainKeyNames, { gt: Buffer.of(0xff) }), {
      gt: Buffer.of(1, 0xff),
      lt: Buffer.of(2),
    });
  });
});
