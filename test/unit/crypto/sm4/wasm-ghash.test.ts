import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { layout } from "../../../../src/crypto/sm4/wasm-layout.ts";
import { startSm4Machine } from "../../../../src/crypto/sm4/wasm-machine.ts";
import { fromHex, loadVectors } from "../load-vectors.ts";

const vectors = loadVectors<{
  ghash: readonly { source: string; hashKey: string; blocks: string; hash: string }[];
}>("sm4.json").ghash;

const machine = startSm4Machine();

function ghash(hashKey: Uint8Array, blocks: Uint8Array, before: Uint8Array = new Uint8Array(16)): Buffer {
  machine.memory.set(hashKey, layout.hashKey);
  machine.memory.set(before, layout.hash);
  machine.memory.set(blocks, layout.data);
  machine.ghash(layout.data, blocks.length / 16);
  return Buffer.from(machine.memory.subarray(layout.hash, layout.hash + 16));
}

/** NIST SP 800-38D, algorithm 1, bit by bit: the first bit of a block is its highest. */
function product(left: bigint, right: bigint): bigint {
  let sum = 0n;
  let shifted = right;
  for (let bit = 127n; bit >= 0n; bit--) {
    if ((left >> bit) & 1n) sum ^= shifted;
    shifted = (shifted >> 1n) ^ (shifted & 1n ? 0xe1n << 120n : 0n);
  }
  return sum;
}

function asInteger(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
}

function ghashByDefinition(hashKey: Uint8Array, blocks: Uint8Array): string {
  let hash = 0n;
  for (let from = 0; from < blocks.length; from += 16)
    hash = product(hash ^ asInteger(blocks.subarray(from, from + 16)), asInteger(hashKey));
  return hash.toString(16).padStart(32, "0");
}

describe("GHASH in WebAssembly", () => {
  for (const { source, hashKey, blocks, hash } of vectors)
    it(`gives the hash of ${source}`, () => {
      assert.equal(ghash(fromHex(hashKey), fromHex(blocks)).toString("hex"), hash);
    });

  it("multiplies as the definition does, for each single bit of either factor", () => {
    const other = randomBytes(16);
    for (let bit = 0; bit < 128; bit++) {
      const single = Buffer.alloc(16);
      single.writeUInt8(0x80 >> (bit & 7), bit >> 3);
      assert.equal(ghash(single, other).toString("hex"), ghashByDefinition(single, other), `key bit ${bit}`);
      assert.equal(ghash(other, single).toString("hex"), ghashByDefinition(other, single), `block bit ${bit}`);
    }
  });

  it("hashes random blocks as the definition does", () => {
    for (let blocks = 1; blocks <= 64; blocks++) {
      const [hashKey, bytes] = [randomBytes(16), randomBytes(16 * blocks)];
      assert.equal(ghash(hashKey, bytes).toString("hex"), ghashByDefinition(hashKey, bytes));
    }
  });

  it("goes on from the running value", () => {
    const [hashKey, bytes] = [randomBytes(16), randomBytes(160)];
    const first = ghash(hashKey, bytes.subarray(0, 48));
    assert.deepEqual(ghash(hashKey, bytes.subarray(48), first), ghash(hashKey, bytes));
  });

  it("gives zero for the key of zeros, and all ones their product", () => {
    assert.equal(ghash(Buffer.alloc(16), randomBytes(32)).toString("hex"), "0".repeat(32));
    const ones = Buffer.alloc(16, 0xff);
    assert.equal(ghash(ones, ones).toString("hex"), ghashByDefinition(ones, ones));
  });
});
