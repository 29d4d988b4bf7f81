import type { Code, Local, WasmFunction } from "./wasm-assembler.ts";
import { i8x16, i16x8, v128 } from "./wasm-instructions.ts";
import { inputHigh, inputLow, type OutputTables, reciprocal, scaledReciprocal } from "./wasm-s-box.ts";

/** SM4's S-box on 16 bytes at once, by the tables of wasm-s-box.ts: code that shares the locals of one function. */
export class SBoxCode {
  readonly #swizzle: (table: Code, indices: Code) => Code;
  readonly #nibbleMask: Local;
  readonly #inputLow: Local;
  readonly #inputHigh: Local;
  readonly #reciprocal: Local;
  readonly #scaledReciprocal: Local;
  readonly #i: Local;
  readonly #j: Local;
  readonly #k: Local;
  readonly #aOverK: Local;
  readonly io: Local;
  readonly jo: Local;

  constructor(into: WasmFunction, relaxed: boolean) {
    this.#swizzle = relaxed ? i8x16.relaxedSwizzle : i8x16.swizzle;
    this.#nibbleMask = constant(into, new Array<number>(16).fill(15));
    this.#inputLow = constant(into, inputLow);
    this.#inputHigh = constant(into, inputHigh);
    this.#reciprocal = constant(into, reciprocal);
    this.#scaledReciprocal = constant(into, scaledReciprocal);
    this.#i = into.local("v128");
    this.#j = into.local("v128");
    this.#k = into.local("v128");
    this.#aOverK = into.local("v128");
    this.io = into.local("v128");
    this.jo = into.local("v128");
  }

  /** Computes `io` and `jo` of the 16 bytes that `input` holds, from which {@link output} has every linear image of S. */
  invert(input: Local): Code {
    const { get: mask } = this.#nibbleMask;
    const low = v128.and(input.get, mask);
    const high = v128.and(i16x8.shrU(input.get, 4), mask);
    const reciprocalOf = (value: Code) => this.#swizzle(this.#reciprocal.get, value);
    return [
      input.set(v128.xor(this.#swizzle(this.#inputLow.get, low), this.#swizzle(this.#inputHigh.get, high))),
      this.#k.set(v128.and(input.get, mask)),
      this.#i.set(v128.and(i16x8.shrU(input.get, 4), mask)),
      this.#j.set(v128.xor(this.#i.get, this.#k.get)),
      this.#aOverK.set(this.#swizzle(this.#scaledReciprocal.get, this.#k.get)),
      this.io.set(v128.xor(reciprocalOf(v128.xor(reciprocalOf(this.#i.get), this.#aOverK.get)), this.#j.get)),
      this.jo.set(v128.xor(reciprocalOf(v128.xor(reciprocalOf(this.#j.get), this.#aOverK.get)), this.#i.get)),
    ];
  }

  output(tables: { ofIo: Local; ofJo: Local }): Code {
    return v128.xor(this.#swizzle(tables.ofIo.get, this.io.get), this.#swizzle(tables.ofJo.get, this.jo.get));
  }
}

/** A local of `into` that is set to these 16 bytes before all that follows. */
export function constant(into: WasmFunction, bytes: readonly number[]): Local {
  const local = into.local("v128");
  into.append(local.set(v128.const(bytes)));
  return local;
}

export function constants(into: WasmFunction, tables: OutputTables): { ofIo: Local; ofJo: Local } {
  return { ofIo: constant(into, tables.ofIo), ofJo: constant(into, tables.ofJo) };
}
