/**
 * Derives what the SM4 kernels know about the S-box, and prints it as C:
 *
 *   node native/sm4/derive-tables.ts circuit > native/sm4/sbox-circuit.h
 *   node native/sm4/derive-tables.ts affine > native/sm4/sbox-affine.h
 *
 * SM4's S-box (GB/T 32907-2016, 6.2) is M2 · inverse(M1 · x + c1) + c2 with the inverse of AES's field, x^8+x^4+x^3+x+1.
 * The matrices are in the order of GF2P8AFFINEQB: row i, for bit i of the result, is byte 7 - i of the number.
 */

/** One of eight equivalent choices; every use of it is checked for all 256 inputs below or by the tests of the kernels. */
const m1 = 0x4c287db91a22505dn;
const c1 = 0x3e;
const m2 = 0xf3ab34a974a6b589n;
const c2 = 0xd3;

/** A linear map of bits: `rows[i]` has bit j set where bit i of the result depends on bit j of the argument. */
type Rows = readonly number[];

const rowsOf = (matrix: bigint): Rows =>
  Array.from({ length: 8 }, (_, i) => Number((matrix >> BigInt(8 * (7 - i))) & 0xffn));
const parity = (bits: number): number => {
  let odd = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) odd ^= 1;
  return odd;
};
const apply = (rows: Rows, x: number): number => rows.reduce((y, row, i) => y | (parity(row & x) << i), 0);
/** The map as rows, from what it does to each of `bits` unit vectors. */
const linear = (bits: number, resultBits: number, map: (x: number) => number): Rows =>
  Array.from({ length: resultBits }, (_, i) => {
    let row = 0;
    for (let j = 0; j < bits; j++) row |= ((map(1 << j) >> i) & 1) << j;
    return row;
  });

function multiply(a: number, b: number): number {
  let product = 0;
  for (let i = 0; i < 8; i++) if ((b >> i) & 1) product ^= a << i;
  for (let i = 14; i >= 8; i--) if ((product >> i) & 1) product ^= 0x11b << (i - 8);
  return product;
}
const power = (a: number, n: number): number => {
  let result = 1;
  for (let i = 0; i < n; i++) result = multiply(result, a);
  return result;
};
const inverses: readonly number[] = Array.from({ length: 256 }, (_, x) => power(x, 254));
const inverse = (x: number): number => inverses[x] ?? 0;
const affineIn = rowsOf(m1);
const affineOut = rowsOf(m2);
const invertRows = (rows: Rows): Rows => {
  const preimage = new Map<number, number>(Array.from({ length: 256 }, (_, x) => [apply(rows, x), x] as const));
  return linear(8, 8, (y) => preimage.get(y) ?? 0);
};

/** SM4's S-box, as the derivation has it. */
export const sbox = (x: number): number => apply(affineOut, inverse(apply(affineIn, x) ^ c1)) ^ c2;

/* ---- the circuit ---- */

/**
 * The inversion in AES's field by Boyar and Peralta (2010, "A new combinational logic minimization technique"): 22 linear
 * forms of the argument, u0 its highest bit, then 62 gates, then 18 products whose linear forms are the result.
 */
const topForms = `
y14=u3^u5 y13=u0^u6 y9=u0^u3 y8=u0^u5 t0=u1^u2 y1=t0^u7 y4=y1^u3 y12=y13^y14 y2=y1^u0 y5=y1^u6 y3=y5^y8 t1=u4^y12 y15=t1^u5
y20=t1^u1 y6=y15^u7 y10=y15^t0 y11=y20^y9 y7=u7^y11 y17=y10^y11 y19=y10^y8 y16=t0^y11 y21=y13^y16 y18=u0^y16 y0=u7`;
const middle = `
t2=y12&y15 t3=y3&y6 t4=t3^t2 t5=y4&y0 t6=t5^t2 t7=y13&y16 t8=y5&y1 t9=t8^t7 t10=y2&y7 t11=t10^t7 t12=y9&y11 t13=y14&y17 t14=t13^t12
t15=y8&y10 t16=t15^t12 t17=t4^t14 t18=t6^t16 t19=t9^t14 t20=t11^t16 t21=t17^y20 t22=t18^y19 t23=t19^y21 t24=t20^y18 t25=t21^t22
t26=t21&t23 t27=t24^t26 t28=t25&t27 t29=t28^t22 t30=t23^t24 t31=t22^t26 t32=t31&t30 t33=t32^t24 t34=t23^t33 t35=t27^t33 t36=t24&t35
t37=t36^t34 t38=t27^t36 t39=t29&t38 t40=t25^t39 t41=t40^t37 t42=t29^t33 t43=t29^t40 t44=t33^t37 t45=t42^t41 z0=t44&y15 z1=t37&y6
z2=t33&y0 z3=t43&y16 z4=t40&y1 z5=t29&y7 z6=t42&y11 z7=t45&y17 z8=t41&y10 z9=t44&y12 z10=t37&y3 z11=t33&y4 z12=t43&y13 z13=t40&y5
z14=t29&y2 z15=t42&y9 z16=t45&y14 z17=t41&y8`;
const gatesOf = (text: string): readonly string[] => text.trim().split(/\s+/);
const formCount = 22;
const productCount = 18;

function run(gates: readonly string[], wires: Map<string, number>): void {
  for (const gate of gates) {
    const [name = "", expression = ""] = gate.split("=");
    const values = expression.split(/[&^]/).map((wire) => wires.get(wire) ?? 0);
    wires.set(
      name,
      values.reduce((a, b) => (expression.includes("&") ? a & b : a ^ b)),
    );
  }
}
const formsOf = (u: number): number => {
  const wires = new Map<string, number>(Array.from({ length: 8 }, (_, i) => [`u${i}`, (u >> (7 - i)) & 1] as const));
  run(gatesOf(topForms), wires);
  return Array.from({ length: formCount }, (_, i) => (wires.get(`y${i}`) ?? 0) << i).reduce((a, b) => a | b);
};
const productsOf = (forms: number): number => {
  const wires = new Map<string, number>(Array.from({ length: formCount }, (_, i) => [`y${i}`, (forms >> i) & 1] as const));
  run(gatesOf(middle), wires);
  return Array.from({ length: productCount }, (_, i) => (wires.get(`z${i}`) ?? 0) << i).reduce((a, b) => a | b);
};

/** For each bit of `wanted(u)`, the products whose sum it is, for all u. */
function solveBottom(wanted: (u: number) => number): Rows {
  const products = Array.from({ length: 256 }, (_, u) => productsOf(formsOf(u)));
  return Array.from({ length: 8 }, (_, bit) => {
    const equations = products.map((p, u) => p | (((wanted(u) >> bit) & 1) << productCount));
    let rank = 0;
    const pivots: number[] = [];
    for (let column = 0; column < productCount; column++) {
      const at = equations.findIndex((e, i) => i >= rank && (e >> column) & 1);
      if (at < 0) continue;
      [equations[rank], equations[at]] = [equations[at] ?? 0, equations[rank] ?? 0];
      const pivot = equations[rank] ?? 0;
      for (let i = 0; i < equations.length; i++)
        if (i !== rank && ((equations[i] ?? 0) >> column) & 1) equations[i] = (equations[i] ?? 0) ^ pivot;
      pivots.push(column);
      rank++;
    }
    if (equations.slice(rank).some((e) => e !== 0))
      throw new Error("the products do not span the inverse: a gate is wrong");
    return pivots.reduce((row, column, i) => row | ((((equations[i] ?? 0) >> productCount) & 1) << column), 0);
  });
}

interface LinearProgram {
  readonly gates: readonly (readonly [result: number, a: number, b: number])[];
  /** For each row, the wire that carries it. */
  readonly wireOf: readonly number[];
}

/** Paar's greedy: again and again makes the sum of the two wires that most rows still share. Ties are broken by `pick`. */
function paar(rows: Rows, inputs: number, pick: (n: number) => number): LinearProgram {
  const left = rows.map((row) => new Set(Array.from({ length: inputs }, (_, j) => j).filter((j) => (row >> j) & 1)));
  const gates: [number, number, number][] = [];
  for (let wires = inputs; ; wires++) {
    let best = 0;
    let ties: [number, number][] = [];
    const counts = new Map<number, number>();
    for (const row of left) {
      const members = [...row].sort((a, b) => a - b);
      for (let i = 0; i < members.length; i++)
        for (let j = i + 1; j < members.length; j++) {
          const pair = (members[i] ?? 0) * 1024 + (members[j] ?? 0);
          counts.set(pair, (counts.get(pair) ?? 0) + 1);
        }
    }
    for (const [pair, count] of counts)
      if (count > best) {
        best = count;
        ties = [[Math.floor(pair / 1024), pair % 1024]];
      } else if (count === best) ties.push([Math.floor(pair / 1024), pair % 1024]);
    if (best === 0) return { gates, wireOf: left.map((row) => [...row][0] ?? -1) };
    const [a, b] = ties[pick(ties.length)] ?? [0, 0];
    gates.push([wires, a, b]);
    for (const row of left)
      if (row.has(a) && row.has(b)) {
        row.delete(a);
        row.delete(b);
        row.add(wires);
      }
  }
}

/** A small generator with a fixed seed, so that the same circuit comes out each time. */
function generator(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

interface Circuit {
  readonly top: LinearProgram;
  readonly bottom: LinearProgram;
}

/**
 * The smallest circuit found for x -> M2 · inverse(M1 · x), over the 2040 ways to place the inversion (any multiple, any
 * conjugate). c1 and c2 are left out: the bitsliced kernels put them into the round keys.
 */
function findCircuit(): Circuit {
  const forms = linear(8, formCount, formsOf);
  const bottomOf = solveBottom(inverse);
  const placements: { topRows: Rows; bottomRows: Rows; gates: number }[] = [];
  for (let a = 1; a < 256; a++)
    for (let e = 0; e < 8; e++) {
      const place = (x: number) => power(multiply(a, apply(affineIn, x)), 2 ** e);
      const placed = linear(8, 8, place);
      const topRows = linear(8, formCount, (x) => apply(forms, apply(placed, x)));
      const back = linear(8, 8, (y) => multiply(a, power(y, 2 ** (8 - e))));
      const bottomRows = linear(productCount, 8, (z) => apply(affineOut, apply(back, apply(bottomOf, z))));
      const first = () => 0;
      const gates = paar(topRows, 8, first).gates.length + paar(bottomRows, productCount, first).gates.length;
      placements.push({ topRows, bottomRows, gates });
    }
  placements.sort((a, b) => a.gates - b.gates);
  let best: Circuit | undefined;
  const size = (circuit: Circuit | undefined) =>
    circuit === undefined ? Infinity : circuit.top.gates.length + circuit.bottom.gates.length;
  for (const { topRows, bottomRows } of placements.slice(0, 12)) {
    const smallest = (rows: Rows, inputs: number): LinearProgram =>
      Array.from({ length: 30 }, (_, seed) => paar(rows, inputs, generator(seed))).reduce((a, b) =>
        b.gates.length < a.gates.length ? b : a,
      );
    const found: Circuit = { top: smallest(topRows, 8), bottom: smallest(bottomRows, productCount) };
    if (size(found) < size(best)) best = found;
  }
  if (best === undefined) throw new Error("no circuit");
  return best;
}

/** The circuit's gates as C assignments over `x[0..7]`, bit 0 first, in place. */
export function circuitAsC(): string {
  const { top, bottom } = findCircuit();
  const topWire = (wire: number) => (wire < 8 ? `x${wire}` : `a${wire}`);
  const bottomWire = (wire: number) => (wire < productCount ? `z${wire}` : `b${wire}`);
  const topLines = top.gates.map(([result, a, b]) => `a${result} = ${topWire(a)} ^ ${topWire(b)};`);
  const names = new Map<string, string>(top.wireOf.map((wire, i) => [`y${i}`, topWire(wire)] as const));
  const middleLines = gatesOf(middle).map((gate) => {
    const [name = "", expression = ""] = gate.split("=");
    const operands = expression.split(/[&^]/).map((wire) => names.get(wire) ?? wire);
    return `${name} = ${operands.join(expression.includes("&") ? " & " : " ^ ")};`;
  });
  const bottomLines = bottom.gates.map(([result, a, b]) => `b${result} = ${bottomWire(a)} ^ ${bottomWire(b)};`);
  const lines = [...topLines, ...middleLines, ...bottomLines];
  check(lines, bottom.wireOf.map(bottomWire));
  const declare = (line: string) => `  const plane ${line}`;
  return [
    "/* Made by derive-tables.ts. The linear part of SM4's S-box, M2 * inverse(M1 * x), on eight bit planes, lowest bit first:",
    ` * ${lines.length} gates without a table or a branch. The inversion is Boyar and Peralta's. The caller has typedef'd \`plane\`. */`,
    "static inline __attribute__((always_inline)) void substitute(plane x[8]) {",
    ...Array.from({ length: 8 }, (_, i) => declare(`x${i} = x[${i}];`)),
    ...lines.map(declare),
    ...bottom.wireOf.map((wire, i) => `  x[${i}] = ${bottomWire(wire)};`),
    "}",
    "",
  ].join("\n");
}

/** Runs the printed gates for all 256 inputs. */
function check(lines: readonly string[], outputs: readonly string[]): void {
  for (let x = 0; x < 256; x++) {
    const wires = new Map<string, number>(Array.from({ length: 8 }, (_, i) => [`x${i}`, (x >> i) & 1] as const));
    run(
      lines.map((line) => line.replaceAll(/[ ;]/g, "")),
      wires,
    );
    const y = outputs.reduce((sum, wire, i) => sum | ((wires.get(wire) ?? 0) << i), 0);
    if (y !== (sbox(x ^ apply(invertRows(affineIn), c1)) ^ c2)) throw new Error(`the circuit is wrong at ${x}`);
  }
}

/* ---- constants and nibble tables ---- */

/** The matrices, the constants and, for kernels without GFNI, the two affine maps around AESENCLAST as tables of nibbles. */
export function affineAsC(): string {
  const aesAffine = linear(8, 8, (x) => {
    let y = 0;
    for (const turn of [0, 1, 2, 3, 4]) y ^= (x << turn) | (x >> (8 - turn));
    return y & 0xff;
  });
  const toSm4 = invertRows(aesAffine);
  const before = (x: number) => apply(affineIn, x);
  const after = (y: number) => apply(affineOut, apply(toSm4, y));
  const afterConstant = after(0x63) ^ c2;
  for (let x = 0; x < 256; x++) {
    const aes = apply(aesAffine, inverse(before(x) ^ c1)) ^ 0x63;
    if ((after(aes) ^ afterConstant) !== sbox(x)) throw new Error(`the maps are wrong at ${x}`);
  }
  const table = (name: string, entry: (nibble: number) => number) =>
    `#define ${name} ${Array.from({ length: 16 }, (_, i) => `0x${entry(i).toString(16).padStart(2, "0")}`).join(", ")}`;
  const hex = (n: number | bigint) => `0x${n.toString(16)}`;
  return [
    "/* Made by derive-tables.ts. S(x) = M2 * inverse(M1 * x + c1) + c2 in AES's field; matrices as GF2P8AFFINEQB takes them. */",
    `#define SBOX_M1 ${hex(m1)}ull`,
    `#define SBOX_C1 ${hex(c1)}`,
    `#define SBOX_M2 ${hex(m2)}ull`,
    `#define SBOX_C2 ${hex(c2)}`,
    "/* For the circuit of sbox-circuit.h, S(x) = circuit(x + SBOX_IN) + SBOX_C2. */",
    `#define SBOX_IN ${hex(apply(invertRows(affineIn), c1))}`,
    "/* S(x) = after(AES's S-box(before(x))), each map the sum of a table for the low and one for the high nibble. */",
    table("SBOX_BEFORE_LOW", (i) => before(i) ^ c1),
    table("SBOX_BEFORE_HIGH", (i) => before(i << 4)),
    table("SBOX_AFTER_LOW", (i) => after(i) ^ afterConstant),
    table("SBOX_AFTER_HIGH", (i) => after(i << 4)),
    "",
  ].join("\n");
}

if (import.meta.main) process.stdout.write(process.argv[2] === "affine" ? affineAsC() : circuitAsC());
