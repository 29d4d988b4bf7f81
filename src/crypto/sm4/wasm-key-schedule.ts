import { type Code, type Local, WasmFunction } from "./wasm-assembler.ts";
import { i32, i32x4, v128 } from "./wasm-instructions.ts";
import { layout } from "./wasm-layout.ts";
import { affineConstant, plainOutput } from "./wasm-s-box.ts";
import { constant, constants, SBoxCode } from "./wasm-s-box-code.ts";

const fourBytes = [0, 1, 2, 3] as const;
type Words = readonly [Local, Local, Local, Local];

/**
 * `expand(key)`: the round keys (GB/T 32907-2016, 7.3) of the 16-byte key at `key`, to {@link layout}'s place, each with its
 * highest byte first.
 */
export function expandKernel(relaxed: boolean): WasmFunction {
  const kernel = new WasmFunction("expand");
  const key = kernel.parameter("i32");
  const sBox = new SBoxCode(kernel, relaxed);
  const plain = constants(kernel, plainOutput);
  const constantVector = constant(kernel, new Array<number>(16).fill(affineConstant));
  const words = fourBytes.map(() => kernel.local("i32")) as unknown as Words;
  const input = kernel.local("v128");
  const afterSBox = kernel.local("i32");
  const systemParameter = [0xa3b1bac6, 0x56aa3350, 0x677d9197, 0xb27022dc];

  words.forEach((word, index) => {
    kernel.append(
      word.set(swapBytes(kernel, i32.load(key.get, 4 * index))),
      word.set(i32.xor(word.get, i32.const((systemParameter[index] as number) | 0))),
    );
  });
  for (let round = 0; round < 32; round++) {
    const [target, second, third, fourth] = inTurn(words, round);
    const fixedParameter = fourBytes.reduce<number>((bits, byte) => (bits << 8) | (((4 * round + byte) * 7) & 0xff), 0);
    kernel.append(
      input.set(i32x4.splat(i32.xor(i32.xor(second.get, third.get), i32.xor(fourth.get, i32.const(fixedParameter))))),
      sBox.invert(input),
      afterSBox.set(i32x4.extractLane(v128.xor(sBox.output(plain), constantVector.get), 0)),
      target.set(
        i32.xor(i32.xor(target.get, afterSBox.get), i32.xor(i32.rotl(afterSBox.get, 13), i32.rotl(afterSBox.get, 23))),
      ),
      i32.store(i32.const(0), layout.roundKeys + 4 * round, swapBytes(kernel, target.get)),
    );
  }
  return kernel;
}

/** The four bytes of an i32 in the other order. */
function swapBytes(kernel: WasmFunction, value: Code): Code {
  const word = kernel.local("i32");
  const odd = i32.const(0x00ff00ff);
  return [word.set(value), i32.or(i32.rotl(i32.and(word.get, odd), 24), i32.and(i32.rotl(word.get, 8), odd))];
}

/** The four words from place `first`, around. */
function inTurn(words: Words, first: number): Words {
  return fourBytes.map((offset) => words[((first + offset) & 3) as 0 | 1 | 2 | 3]) as unknown as Words;
}
