import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { affineAsC, circuitAsC, sbox } from "../../../../native/sm4/derive-tables.ts";
import { seed } from "../../../run-settings.ts";
import { noCompiler, testAddon } from "./addon-build.ts";
import { bytesFrom } from "./sm4-reference.ts";

const nativeFolder = join(import.meta.dirname, "../../../../native/sm4");
const constants = { c1: 0x3e, c2: 0xd3 };

/** Intel SDM 2A, GF2P8AFFINEQB: bit i of the result is the parity of byte 7 - i of the matrix and x, plus bit i of b. */
function affineByte(matrix: Uint8Array, x: number, b: number): number {
  let y = 0;
  for (let i = 0; i < 8; i++) {
    let parity = 0;
    for (let rest = (matrix[7 - i] ?? 0) & x; rest !== 0; rest >>= 1) parity ^= rest & 1;
    y |= parity << i;
  }
  return y ^ b;
}

/** The inverse modulo x^8 + x^4 + x^3 + x + 1, and 0 for 0: found by trying. */
function inverseByte(x: number): number {
  for (let y = 0; y < 256; y++) {
    let product = 0;
    for (let i = 0; i < 8; i++) if ((y >> i) & 1) product ^= x << i;
    for (let i = 14; i >= 8; i--) if ((product >> i) & 1) product ^= 0x11b << (i - 8);
    if (product === 1) return y;
  }
  return 0;
}

/** Each byte of `x` with the matrix of the same 64 bits of `y`. */
function affine(x: Uint8Array, y: Uint8Array, map: (matrix: Uint8Array, byte: number) => number): Buffer {
  return Buffer.from(x.map((byte, i) => map(y.subarray(i & ~7, (i & ~7) + 8), byte)));
}

/** Intel SDM 2B, PCLMULQDQ, on each 128 bits: bit 0 of `halves` chooses x's, bit 4 y's half. */
function carrylessProducts(x: Buffer, y: Buffer, halves: number): Buffer {
  const result = Buffer.alloc(x.length);
  for (let lane = 0; lane < x.length; lane += 16) {
    const a = x.readBigUInt64LE(lane + (halves & 1 ? 8 : 0));
    const b = y.readBigUInt64LE(lane + (halves & 16 ? 8 : 0));
    let product = 0n;
    for (let i = 0n; i < 64n; i++) if ((b >> i) & 1n) product ^= a << i;
    result.writeBigUInt64LE(product & 0xffff_ffff_ffff_ffffn, lane);
    result.writeBigUInt64LE(product >> 64n, lane + 8);
  }
  return result;
}

const inverses = Array.from({ length: 256 }, (_, x) => inverseByte(x));
const instructions: Readonly<Record<string, { bytes: number; define: (x: Buffer, y: Buffer) => Buffer }>> = {
  ...Object.fromEntries(
    [512, 256].flatMap((bits) => [
      [
        `affine${bits} c1`,
        {
          bytes: bits / 8,
          define: (x: Buffer, y: Buffer) => affine(x, y, (m, byte) => affineByte(m, byte, constants.c1)),
        },
      ],
      [
        `affineinv${bits} c2`,
        {
          bytes: bits / 8,
          define: (x: Buffer, y: Buffer) => affine(x, y, (m, byte) => affineByte(m, inverses[byte] ?? 0, constants.c2)),
        },
      ],
    ]),
  ),
  ...Object.fromEntries(
    ["00", "01", "10", "11"].map((halves) => [
      `clmul512 ${halves}`,
      { bytes: 64, define: (x: Buffer, y: Buffer) => carrylessProducts(x, y, Number.parseInt(halves, 16)) },
    ]),
  ),
};

describe("the instructions that the GFNI kernels use", { skip: noCompiler }, () => {
  if (noCompiler) return;
  for (const build of ["emulated", "real"] as const) {
    const addon = testAddon(build, "-O1");
    for (const [name, { bytes, define }] of Object.entries(instructions)) {
      const needed = bytes === 64 ? "avx512-gfni" : "avx2-gfni";
      const skip = addon.kernels().includes(needed) ? false : `this processor does not run ${needed}`;
      it(`${name} does as defined, ${build}`, { skip }, () => {
        for (let round = 0; round < 40; round++) {
          const [x, y] = [bytesFrom(seed + round, bytes), bytesFrom(seed - round - 1, bytes)];
          // All 256 bytes come by, and all matrices of one bit.
          if (round < 16) for (let i = 0; i < bytes; i++) x[i] = (round * bytes + i) & 0xff;
          if (round >= 16 && round < 24)
            for (let i = 0; i < bytes; i++) y[i] = i % 8 === round - 16 ? 1 << ((i >> 3) & 7) : 0;
          const expected = define(x, y);
          addon.instruction(name, x, y);
          assert.deepEqual(x, expected);
        }
      });
    }
    it(`an unknown instruction, or one of another length, is refused, ${build}`, () => {
      assert.throws(() => addon.instruction("affine512", Buffer.alloc(64), Buffer.alloc(64)), TypeError);
      assert.throws(() => addon.instruction("affine512 c1", Buffer.alloc(32), Buffer.alloc(32)), TypeError);
      assert.throws(() => addon.instruction("affine512 c1", Buffer.alloc(64), Buffer.alloc(32)), TypeError);
    });
  }
});

describe("the tables that the kernels are made of", () => {
  it("are those that derive-tables.ts derives", () => {
    assert.equal(readFileSync(join(nativeFolder, "sbox-affine.h"), "utf8"), affineAsC());
    assert.equal(readFileSync(join(nativeFolder, "sbox-circuit.h"), "utf8"), circuitAsC());
  });

  it("come from an S-box that is a permutation and has the standard's first and last row", () => {
    const values = Array.from({ length: 256 }, (_, x) => sbox(x));
    assert.equal(new Set(values).size, 256);
    assert.equal(Buffer.from(values.slice(0, 16)).toString("hex"), "d690e9fecce13db716b614c228fb2c05");
    assert.equal(Buffer.from(values.slice(240)).toString("hex"), "18f07dec3adc4d2079ee5f3ed7cb3948");
  });
});
