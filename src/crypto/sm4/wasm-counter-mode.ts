import { type Code, doWhile, type Local, WasmFunction } from "./wasm-assembler.ts";
import { i8x16, i32, i64, v128 } from "./wasm-instructions.ts";
import { blocksPerPass, layout, passBytes } from "./wasm-layout.ts";
import { affineConstant, shiftedDownOutput, shiftedUpOutput } from "./wasm-s-box.ts";
import { constants, SBoxCode } from "./wasm-s-box-code.ts";

const lanes: readonly number[] = Array.from({ length: blocksPerPass }, (_, lane) => lane);
const fourBytes = [0, 1, 2, 3] as const;

/**
 * `ctr(data, passes)`: XORs `passes` × 256 bytes at `data` with the keystream of the round keys and the counter that lie
 * at {@link layout}'s places, and counts that counter up by 16 for each pass.
 *
 * Sixteen blocks are worked on at once, and each of the 16 bytes of a block has a vector of its own: lane m of vector v is
 * byte v of block m. So the words' rotations by whole bytes cost nothing, and those by two bits lie in the output tables:
 * with B the four bytes after the S-box, L(B) = B + (B <<< 2) + (B <<< 10) + (B <<< 18) + (B <<< 24) has the bytes
 *
 *     down(B[b]) + up(B[b - 1]) + T    where up(y) = y + (y << 2), down(y) = y + (y >> 6), T = Σ up(B[·]) + down(B[·])
 */
export function counterModeKernel(relaxed: boolean): WasmFunction {
  const kernel = new WasmFunction("ctr");
  const data = kernel.parameter("i32");
  const passes = kernel.parameter("i32");
  const sBox = new SBoxCode(kernel, relaxed);
  const up = constants(kernel, shiftedUpOutput);
  const down = constants(kernel, shiftedDownOutput);
  const state = lanes.map(() => kernel.local("v128"));
  const word = (index: number) => state.slice((index & 3) * 4, (index & 3) * 4 + 4) as [Local, Local, Local, Local];
  const roundKey = kernel.local("i32");
  const input = kernel.local("v128");
  const upImage = kernel.local("v128");
  const downImage = kernel.local("v128");
  const sum = kernel.local("v128");
  // c of the S-box's output, by L: the same byte in all four places.
  const constantImage = ((affineConstant << 2) | (affineConstant >> 6)) & 0xff;

  const round = (index: number): Code => {
    const target = word(index);
    const [second, third, fourth] = [word(index + 1), word(index + 2), word(index + 3)];
    return [
      sum.set(v128.const(new Array<number>(16).fill(constantImage))),
      fourBytes.map((byte) => [
        input.set(
          v128.xor(
            v128.xor((second[byte] as Local).get, (third[byte] as Local).get),
            v128.xor((fourth[byte] as Local).get, i8x16.loadSplat(roundKey.get, layout.roundKeys + 4 * index + byte)),
          ),
        ),
        sBox.invert(input),
        upImage.set(sBox.output(up)),
        downImage.set(sBox.output(down)),
        addTo(target[byte] as Local, downImage.get),
        addTo(target[(byte + 1) & 3] as Local, upImage.get),
        addTo(sum, v128.xor(upImage.get, downImage.get)),
      ]),
      target.map((vector) => addTo(vector, sum.get)),
    ];
  };

  kernel.append(
    doWhile(
      [
        spreadCounter(kernel, state),
        advanceCounter(kernel),
        roundKey.set(i32.const(0)),
        doWhile(
          [[0, 1, 2, 3].map(round), roundKey.set(i32.add(roundKey.get, i32.const(16)))],
          i32.xor(roundKey.get, i32.const(128)),
        ),
        // The last four words leave in reverse order.
        xorTransposed(kernel, [...word(3), ...word(2), ...word(1), ...word(0)], data),
        data.set(i32.add(data.get, i32.const(passBytes))),
      ],
      passes.tee(i32.sub(passes.get, i32.const(1))),
    ),
  );
  return kernel;
}

function addTo(target: Local, value: Code): Code {
  return target.set(v128.xor(target.get, value));
}

/** Sets `state` to the counters c, c + 1 … c + 15, where c is kept in memory with its lowest byte first. */
function spreadCounter(kernel: WasmFunction, state: readonly Local[]): Code {
  const carry = kernel.local("v128");
  const zero = v128.const(new Array<number>(16).fill(0));
  return state.toReversed().map((vector, place) => {
    const byte = i8x16.loadSplat(i32.const(0), layout.counter + place);
    return place === 0
      ? [vector.set(i8x16.add(byte, v128.const(lanes))), carry.set(i8x16.ltU(vector.get, v128.const(lanes)))]
      : [
          vector.set(i8x16.sub(byte, carry.get)), // a lane that carries is -1
          carry.set(v128.and(carry.get, i8x16.eq(vector.get, zero))),
        ];
  });
}

function advanceCounter(kernel: WasmFunction): Code {
  const low = kernel.local("i64");
  const step = i64.const(BigInt(blocksPerPass));
  const memory = i32.const(0);
  return [
    low.set(i64.add(i64.load(memory, layout.counter), step)),
    i64.store(memory, layout.counter, low.get),
    i64.store(
      memory,
      layout.counter + 8,
      i64.add(i64.load(memory, layout.counter + 8), i64.fromI32(i64.ltU(low.get, step))),
    ),
  ];
}

/** Turns 16 vectors of one byte of each block into 16 blocks, and XORs them into memory at `data`. */
function xorTransposed(kernel: WasmFunction, rows: readonly Local[], data: Local): Code {
  const lower = lanes.map((lane) => (lane >> 1) + 16 * (lane & 1));
  const upper = lower.map((lane) => lane + 8);
  const at = (vectors: readonly Local[], index: number) => (vectors[index] as Local).get;
  let vectors = rows;
  const code: Code[] = [];
  // Each stage turns the 8 bits of (row, column) by one place; after four, row and column have changed places.
  for (let stage = 0; stage < 4; stage++) {
    const before = vectors;
    const after = lanes.map(() => kernel.local("v128"));
    after.forEach((vector, index) => {
      const lanesOf = index % 2 === 0 ? lower : upper;
      code.push(vector.set(i8x16.shuffle(at(before, index >> 1), at(before, (index >> 1) + 8), lanesOf)));
    });
    vectors = after;
  }
  return [
    code,
    lanes.map((block) =>
      v128.store(data.get, 16 * block, v128.xor(at(vectors, block), v128.load(data.get, 16 * block))),
    ),
  ];
}
