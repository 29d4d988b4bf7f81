import { type Code, doWhile, type Local, WasmFunction } from "./wasm-assembler.ts";
import { i8x16, i32, i64, i64x2, v128 } from "./wasm-instructions.ts";
import { layout } from "./wasm-layout.ts";

/**
 * `ghash(data, blocks)`: GHASH (NIST SP 800-38D, 6.4) of `blocks` × 16 bytes at `data`, at least one, under the key and onto
 * the running value that lie at {@link layout}'s places.
 *
 * Carryless products come from plain multiplications of integers that have three zero bits between any two of their bits, so
 * that no carry reaches a bit that is kept: no table, and the same time for every value (after BearSSL's `ghash_ctmul64`).
 * A multiplication gives a product's lower half; the upper half is the reversed lower half of the reversed factors' product.
 */
export function ghashKernel(): WasmFunction {
  const kernel = new WasmFunction("ghash");
  const data = kernel.parameter("i32");
  const blocks = kernel.parameter("i32");
  const longs = <Names extends string>(...names: readonly Names[]) =>
    Object.fromEntries(names.map((name) => [name, kernel.local("i64")])) as Record<Names, Local>;
  const key = longs("low", "high", "sum", "lowReversed", "highReversed", "sumReversed");
  const hash = longs("low", "high", "lowReversed", "highReversed");
  const half = longs("low", "high", "sum", "lowTop", "highTop", "sumTop");
  const product = longs("v0", "v1", "v2", "v3");
  const vector = kernel.local("v128");
  const multiply = carrylessMultiplier(kernel);
  const reverse = bitReverser(kernel);

  const load = (address: Code, offset: number): Code =>
    vector.set(i8x16.shuffle(v128.load(address, offset), v128.load(address, offset), backwards));
  const memory = i32.const(0);
  kernel.append(
    load(memory, layout.hashKey),
    key.low.set(i64x2.extractLane(vector.get, 0)),
    key.high.set(i64x2.extractLane(vector.get, 1)),
    key.sum.set(i64.xor(key.low.get, key.high.get)),
    reverse(key.low, key.lowReversed),
    reverse(key.high, key.highReversed),
    key.sumReversed.set(i64.xor(key.lowReversed.get, key.highReversed.get)),
    load(memory, layout.hash),
    hash.low.set(i64x2.extractLane(vector.get, 0)),
    hash.high.set(i64x2.extractLane(vector.get, 1)),
    doWhile(
      [
        load(data.get, 0),
        hash.low.set(i64.xor(hash.low.get, i64x2.extractLane(vector.get, 0))),
        hash.high.set(i64.xor(hash.high.get, i64x2.extractLane(vector.get, 1))),
        reverse(hash.low, hash.lowReversed),
        reverse(hash.high, hash.highReversed),
        // Karatsuba: three products of 64 by 64 bits, each in two halves.
        multiply(hash.low.get, key.low.get, half.low),
        multiply(hash.high.get, key.high.get, half.high),
        multiply(i64.xor(hash.low.get, hash.high.get), key.sum.get, half.sum),
        multiply(hash.lowReversed.get, key.lowReversed.get, half.lowTop),
        multiply(hash.highReversed.get, key.highReversed.get, half.highTop),
        multiply(i64.xor(hash.lowReversed.get, hash.highReversed.get), key.sumReversed.get, half.sumTop),
        half.sum.set(sum(half.sum.get, half.low.get, half.high.get)),
        half.sumTop.set(sum(half.sumTop.get, half.lowTop.get, half.highTop.get)),
        [half.lowTop, half.highTop, half.sumTop].map((top) => [reverse(top, top), top.set(i64.shrU(top.get, 1))]),
        combine(half, product),
        reduce(product),
        hash.low.set(product.v2.get),
        hash.high.set(product.v3.get),
        data.set(i32.add(data.get, i32.const(16))),
      ],
      blocks.tee(i32.sub(blocks.get, i32.const(1))),
    ),
    i64.store(memory, layout.hash, hash.low.get),
    i64.store(memory, layout.hash + 8, hash.high.get),
    v128.store(
      memory,
      layout.hash,
      i8x16.shuffle(v128.load(memory, layout.hash), v128.load(memory, layout.hash), backwards),
    ),
  );
  return kernel;
}

const backwards: readonly number[] = Array.from({ length: 16 }, (_, lane) => 15 - lane);

type Product = Record<"v0" | "v1" | "v2" | "v3", Local>;

/** The product of 255 bits from its parts, moved up by the one bit by which GHASH's order of bits is off. */
function combine(half: Record<"low" | "high" | "sum" | "lowTop" | "highTop" | "sumTop", Local>, to: Product): Code {
  const shifted = (upper: Local, lower: Local) => i64.or(i64.shl(upper.get, 1), i64.shrU(lower.get, 63));
  return [
    to.v0.set(half.low.get),
    to.v1.set(i64.xor(half.lowTop.get, half.sum.get)),
    to.v2.set(i64.xor(half.high.get, half.sumTop.get)),
    to.v3.set(half.highTop.get),
    to.v3.set(shifted(to.v3, to.v2)),
    to.v2.set(shifted(to.v2, to.v1)),
    to.v1.set(shifted(to.v1, to.v0)),
    to.v0.set(i64.shl(to.v0.get, 1)),
  ];
}

/** Takes the product modulo x¹²⁸ + x⁷ + x² + x + 1: the result is in v2 and v3. */
function reduce({ v0, v1, v2, v3 }: Product): Code {
  const fold = (from: Local, near: Local, far: Local): Code => [
    far.set(sum(far.get, from.get, i64.shrU(from.get, 1), i64.shrU(from.get, 2), i64.shrU(from.get, 7))),
    near.set(sum(near.get, i64.shl(from.get, 63), i64.shl(from.get, 62), i64.shl(from.get, 57))),
  ];
  return [fold(v0, v1, v2), fold(v1, v2, v3)];
}

function sum(...terms: readonly Code[]): Code {
  return terms.reduce((left, right) => i64.xor(left, right));
}

/** Code that sets `result` to the lower 64 bits of a carryless product. */
function carrylessMultiplier(kernel: WasmFunction) {
  const mask = (residue: number) => i64.const(0x1111111111111111n << BigInt(residue));
  const residues = [0, 1, 2, 3] as const;
  const left = residues.map(() => kernel.local("i64"));
  const right = residues.map(() => kernel.local("i64"));
  const whole = kernel.local("i64");
  const split = (value: Code, parts: readonly Local[]): Code => [
    whole.set(value),
    parts.map((part, residue) => part.set(i64.and(whole.get, mask(residue)))),
  ];
  return (x: Code, y: Code, result: Local): Code => [
    split(x, left),
    split(y, right),
    result.set(
      residues
        .map((residue) =>
          i64.and(
            sum(...left.map((part, index) => i64.mul(part.get, (right[(residue - index + 4) & 3] as Local).get))),
            mask(residue),
          ),
        )
        .reduce((low, high) => i64.or(low, high)),
    ),
  ];
}

/** Code that sets `to` to the 64 bits of `from` in the other order. */
function bitReverser(kernel: WasmFunction) {
  const value = kernel.local("i64");
  const steps: readonly (readonly [bits: number, mask: bigint])[] = [
    [1, 0x5555555555555555n],
    [2, 0x3333333333333333n],
    [4, 0x0f0f0f0f0f0f0f0fn],
    [8, 0x00ff00ff00ff00ffn],
    [16, 0x0000ffff0000ffffn],
  ];
  return (from: Local, to: Local): Code => [
    value.set(from.get),
    steps.map(([bits, mask]) =>
      value.set(
        i64.or(i64.shl(i64.and(value.get, i64.const(mask)), bits), i64.and(i64.shrU(value.get, bits), i64.const(mask))),
      ),
    ),
    to.set(i64.or(i64.shl(value.get, 32), i64.shrU(value.get, 32))),
  ];
}
