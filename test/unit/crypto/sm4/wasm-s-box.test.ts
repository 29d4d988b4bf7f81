import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  inputHigh,
  inputLow,
  plainOutput,
  reciprocal,
  sBoxByTables,
  scaledReciprocal,
  shiftedDownOutput,
  shiftedUpOutput,
} from "../../../../src/crypto/sm4/wasm-s-box.ts";
import { fromHex, loadVectors } from "../load-vectors.ts";

const { sBox } = loadVectors<{ sBox: { bytes: string } }>("sm4.json");

describe("SM4's S-box from tables of 16 bytes", () => {
  it("is the standard's table for every byte", () => {
    const made = Array.from({ length: 256 }, (_, byte) => sBoxByTables(byte));
    assert.deepEqual(made, [...fromHex(sBox.bytes)]);
  });

  it("has tables of one register each", () => {
    const outputs = [plainOutput, shiftedUpOutput, shiftedDownOutput].flatMap(({ ofIo, ofJo }) => [ofIo, ofJo]);
    for (const table of [inputLow, inputHigh, reciprocal, scaledReciprocal, ...outputs]) {
      assert.equal(table.length, 16);
      assert.ok(table.every((byte) => Number.isInteger(byte) && byte >= 0 && byte < 256));
    }
  });

  it("never looks up an index from 16 to 127, for which relaxed vectors define no outcome", () => {
    const allowed = (index: number) => index < 16 || index >= 128;
    for (let i = 0; i < 16; i++)
      for (let k = 0; k < 16; k++) {
        const j = i ^ k;
        const [aOverK, ofI, ofJ] = [scaledReciprocal[k] ?? 0, reciprocal[i] ?? 0, reciprocal[j] ?? 0];
        const inner = [ofI ^ aOverK, ofJ ^ aOverK];
        assert.ok(inner.every(allowed), `i ${i}, k ${k}`);
        const [io = 0, jo = 0] = inner.map((index, at) => (reciprocal[index] ?? 0) ^ (at === 0 ? j : i));
        assert.ok(allowed(io) && allowed(jo), `i ${i}, k ${k}`);
      }
  });

  it("splits every input byte into two nibbles", () => {
    const seen = new Set<number>();
    for (const low of inputLow) for (const high of inputHigh) seen.add(low ^ high);
    assert.equal(seen.size, 256);
  });
});
