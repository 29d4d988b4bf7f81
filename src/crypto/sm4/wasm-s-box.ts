/**
 * The tables by which SM4's S-box (GB/T 32907-2016, 6.2) is computed without a look-up in memory: 16 bytes each, small
 * enough for one vector register, looked up by a register's own shuffle, which takes the same time for every byte.
 *
 * The S-box is `S(x) = A·(A·x + c)⁻¹ + c` in GF(2⁸) modulo x⁸+x⁷+x⁶+x⁵+x⁴+x²+1. The inverse is taken in the tower
 * GF((2⁴)²), written x = iζ + jζ̄ with ζ² + ζ = n and ζ̄ = ζ + 1, after Hamburg, "Accelerating AES with Vector Permute
 * Instructions" (CHES 2009). With k = i + j:
 *
 *     io = j + 1/(1/i + a/k)    jo = i + 1/(1/j + a/k)    where a = 1/n
 *     x⁻¹ = (1/io)·(nζ + (n+1)ζ̄) + (1/jo)·((n+1)ζ + nζ̄)
 *
 * Infinity, which is 1/0, is the byte 0x80: sums with it keep their top bit, and a shuffle gives 0 for such an index.
 */
const fieldPolynomial = 0x1f5;
const infinity = 0x80;
/** c of the S-box's two affine maps. */
export const affineConstant = 0xd3;

/** Product in GF(2⁸). Used on public values only, when the tables are made. */
function multiply(left: number, right: number): number {
  let product = 0;
  for (let bit = 7; bit >= 0; bit--) {
    product <<= 1;
    if (product & 0x100) product ^= fieldPolynomial;
    if ((right >> bit) & 1) product ^= left;
  }
  return product;
}

function inverse(value: number): number {
  let power = 1;
  for (let step = 0; step < 254; step++) power = multiply(power, value);
  return power;
}

function rotateLeft(byte: number, bits: number): number {
  return ((byte << bits) | (byte >> (8 - bits))) & 0xff;
}

/** A·x: the matrix's rows are 0xd3 and its rotations, so each bit of the product is the parity of x and one of them. */
function affineLinear(value: number): number {
  let image = 0;
  for (let bit = 0; bit < 8; bit++) {
    let row = value & rotateLeft(0xa7, bit);
    row ^= row >> 4;
    row ^= row >> 2;
    row ^= row >> 1;
    image |= (row & 1) << bit;
  }
  return image;
}

/** The subfield GF(2⁴): `element[v]` is the member of GF(2⁸) that the nibble v stands for. */
function makeSubfield() {
  const all = Array.from({ length: 256 }, (_, value) => value);
  const isRoot = (value: number) => {
    const square = multiply(value, value);
    return (multiply(square, square) ^ value ^ 1) === 0; // of x⁴ + x + 1
  };
  const g = all.find(isRoot) as number;
  const powers = [1, g, multiply(g, g), multiply(g, multiply(g, g))];
  const element = Array.from({ length: 16 }, (_, nibble) =>
    powers.reduce((sum, power, bit) => sum ^ (((nibble >> bit) & 1) * power), 0),
  );
  const zeta = all.find(
    (value) => !element.includes(value) && element.includes(multiply(value, value) ^ value),
  ) as number;
  return { element, zeta };
}

const { element, zeta } = makeSubfield();
const zetaBar = zeta ^ 1;
const n = multiply(zeta, zeta) ^ zeta;
const nibbleOf = (member: number) => element.indexOf(member);
const memberOf = (nibble: number) => element[nibble] as number;

/** `i << 4 | k` of each member of GF(2⁸). */
const coordinates: readonly number[] = (() => {
  const table = new Array<number>(256).fill(0);
  for (let i = 0; i < 16; i++)
    for (let j = 0; j < 16; j++)
      table[multiply(memberOf(i), zeta) ^ multiply(memberOf(j), zetaBar)] = (i << 4) | (i ^ j);
  return table;
})();

function nibbles(of: (nibble: number) => number): readonly number[] {
  return Array.from({ length: 16 }, (_, nibble) => of(nibble));
}

/** `i << 4 | k` of A·x + c is `inputLow[x & 15] ^ inputHigh[x >> 4]`. */
export const inputLow: readonly number[] = nibbles((low) => coordinates[affineLinear(low) ^ affineConstant] as number);
export const inputHigh: readonly number[] = nibbles((high) => coordinates[affineLinear(high << 4)] as number);

/** 1/v. */
export const reciprocal: readonly number[] = nibbles((v) => (v === 0 ? infinity : nibbleOf(inverse(memberOf(v)))));
/** a/v. */
export const scaledReciprocal: readonly number[] = nibbles((v) =>
  v === 0 ? infinity : nibbleOf(inverse(multiply(memberOf(v), n))),
);

/** A linear image of S(x) + c is `ofIo[io] ^ ofJo[jo]`. */
export interface OutputTables {
  readonly ofIo: readonly number[];
  readonly ofJo: readonly number[];
}

function outputTables(linear: (byte: number) => number): OutputTables {
  const part = (scale: number) => nibbles((v) => linear(affineLinear(multiply(inverse(memberOf(v)), scale))));
  return {
    ofIo: part(multiply(n, zeta) ^ multiply(n ^ 1, zetaBar)),
    ofJo: part(multiply(n ^ 1, zeta) ^ multiply(n, zetaBar)),
  };
}

/** S(x) + c itself. */
export const plainOutput: OutputTables = outputTables((byte) => byte);
/** Of B = S(x) + c, the byte B + (B << 2), its top bits dropped. */
export const shiftedUpOutput: OutputTables = outputTables((byte) => byte ^ ((byte << 2) & 0xff));
/** Of B = S(x) + c, the byte B + (B >> 6). */
export const shiftedDownOutput: OutputTables = outputTables((byte) => byte ^ (byte >> 6));

/** The S-box by these tables, as the kernels compute it. For tests: its time does depend on `byte`. */
export function sBoxByTables(byte: number): number {
  const look = (table: readonly number[], index: number) => (index >= 16 ? 0 : (table[index] as number));
  const packed = look(inputLow, byte & 15) ^ look(inputHigh, byte >> 4);
  const i = packed >> 4;
  const k = packed & 15;
  const j = i ^ k;
  const aOverK = look(scaledReciprocal, k);
  const io = look(reciprocal, look(reciprocal, i) ^ aOverK) ^ j;
  const jo = look(reciprocal, look(reciprocal, j) ^ aOverK) ^ i;
  return look(plainOutput.ofIo, io) ^ look(plainOutput.ofJo, jo) ^ affineConstant;
}
