import { type Code, signed, unsigned } from "./wasm-assembler.ts";

/** The instructions that the SM4 kernels use, by the specification's names. Offsets are in bytes. */

const binary =
  (...opcode: readonly number[]) =>
  (left: Code, right: Code): Code => [left, right, opcode];

const simdBinary = (opcode: number) => binary(0xfd, ...unsigned(opcode));

export const i32 = {
  const: (value: number): Code => [0x41, signed(BigInt(value))],
  load: (address: Code, offset: number): Code => [address, 0x28, 2, unsigned(offset)],
  store: (address: Code, offset: number, value: Code): Code => [address, value, 0x36, 2, unsigned(offset)],
  add: binary(0x6a),
  sub: binary(0x6b),
  and: binary(0x71),
  or: binary(0x72),
  xor: binary(0x73),
  shl: (value: Code, bits: number): Code => [value, [0x41, signed(BigInt(bits))], 0x74],
  shrU: (value: Code, bits: number): Code => [value, [0x41, signed(BigInt(bits))], 0x76],
  rotl: (value: Code, bits: number): Code => [value, [0x41, signed(BigInt(bits))], 0x77],
};

export const i64 = {
  const: (value: bigint): Code => [0x42, signed(BigInt.asIntN(64, value))],
  load: (address: Code, offset: number): Code => [address, 0x29, 3, unsigned(offset)],
  store: (address: Code, offset: number, value: Code): Code => [address, value, 0x37, 3, unsigned(offset)],
  ltU: binary(0x54),
  add: binary(0x7c),
  mul: binary(0x7e),
  and: binary(0x83),
  or: binary(0x84),
  xor: binary(0x85),
  shl: (value: Code, bits: number): Code => [value, [0x42, signed(BigInt(bits))], 0x86],
  shrU: (value: Code, bits: number): Code => [value, [0x42, signed(BigInt(bits))], 0x88],
  fromI32: (value: Code): Code => [value, 0xad],
};

const simdMemory = (opcode: number, align: number) => (address: Code, offset: number) => [
  address,
  [0xfd, unsigned(opcode), align, unsigned(offset)],
];

export const v128 = {
  /** No alignment is promised. */
  load: simdMemory(0, 0),
  store: (address: Code, offset: number, value: Code): Code => [
    address,
    value,
    [0xfd, unsigned(11), 0, unsigned(offset)],
  ],
  const: (bytes: readonly number[]): Code => {
    if (bytes.length !== 16) throw new RangeError(`a vector has 16 bytes, got ${bytes.length}`);
    return [0xfd, unsigned(12), bytes];
  },
  and: simdBinary(78),
  xor: simdBinary(81),
};

export const i8x16 = {
  splat: (value: Code): Code => [value, [0xfd, unsigned(15)]],
  loadSplat: simdMemory(7, 0),
  /** Of the 32 bytes of `left` and `right`, those that `lanes` names. */
  shuffle: (left: Code, right: Code, lanes: readonly number[]): Code => [left, right, [0xfd, unsigned(13), lanes]],
  eq: simdBinary(0x23),
  ltU: simdBinary(0x26),
  add: simdBinary(0x6e),
  sub: simdBinary(0x71),
  /** Looks each byte of `indices` up in the 16 bytes of `table`: 0 for indices from 16. */
  swizzle: simdBinary(0x0e),
  /** The same, but that an index from 16 to 127 has no defined outcome. */
  relaxedSwizzle: simdBinary(0x100),
};

export const i16x8 = {
  shrU: (value: Code, bits: number): Code => [value, [0x41, signed(BigInt(bits))], [0xfd, unsigned(0x8d)]],
};

export const i32x4 = {
  splat: (value: Code): Code => [value, [0xfd, unsigned(0x11)]],
  extractLane: (vector: Code, lane: number): Code => [vector, [0xfd, unsigned(0x1b), lane]],
};

export const i64x2 = {
  extractLane: (vector: Code, lane: number): Code => [vector, [0xfd, unsigned(0x1d), lane]],
};
