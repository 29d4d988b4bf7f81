import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeGenesis } from "../../../script/demo-parts/genesis.ts";

const low = `0x${"0a".repeat(20)}`;
const high = `0x${"F0".repeat(20)}`;

describe("the genesis of a proof-of-authority chain", () => {
  it("names the signers in ascending order between 32 and 65 zero bytes (EIP-225)", () => {
    const { extraData } = makeGenesis({ signers: [high, low] });
    assert.equal(extraData, `0x${"00".repeat(32)}${"0a".repeat(20)}${"f0".repeat(20)}${"00".repeat(65)}`);
  });

  it("gives signers and funded accounts the same balance, each once", () => {
    const { alloc } = makeGenesis({ signers: [low], funded: [low, high] });
    assert.deepEqual(Object.keys(alloc).sort(), ["0a".repeat(20), "f0".repeat(20)]);
  });

  for (const [what, options] of [
    ["no signer", { signers: [] }],
    ["an address without 0x", { signers: [low.slice(2)] }],
    ["an address that is too short", { signers: [low.slice(0, -1)] }],
    ["an address with another character", { signers: [low], funded: [low.replace("a", "g")] }],
    ["blocks without a pause", { signers: [low], periodSeconds: 0 }],
    ["a pause of part of a second", { signers: [low], periodSeconds: 1.5 }],
    ["a pause over a minute", { signers: [low], periodSeconds: 61 }],
  ] as const)
    it(`is refused with ${what}`, () => {
      assert.throws(() => makeGenesis(options), RangeError);
    });
});
