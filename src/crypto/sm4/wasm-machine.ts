import { assembleModule } from "./wasm-assembler.ts";
import { counterModeKernel } from "./wasm-counter-mode.ts";
import { ghashKernel } from "./wasm-ghash.ts";
import { expandKernel } from "./wasm-key-schedule.ts";
import { memoryPages } from "./wasm-layout.ts";

/** What is used of the WebAssembly JavaScript interface, which Node's types leave to those of browsers. */
declare const WebAssembly:
  | {
      validate(bytes: Uint8Array): boolean;
      readonly Module: new (bytes: Uint8Array) => object;
      readonly Instance: new (module: object) => { readonly exports: unknown };
    }
  | undefined;

/** The SM4 kernels, assembled and started, with the memory that they share with the caller. */
export interface Sm4Machine {
  /** Vector instructions that it was made of. */
  readonly instructionSet: "relaxed-simd128" | "simd128";
  /** All of the memory, as wasm-layout.ts divides it. It never grows, so the view stays good. */
  readonly memory: Buffer;
  /** Expands the 16-byte key at the address. */
  expand(keyAddress: number): void;
  /** XORs `passes` × 256 bytes with the keystream, and counts the counter up by 16 for each pass. */
  ctr(dataAddress: number, passes: number): void;
  /** Hashes `blocks` × 16 bytes, at least one block, onto the running value. */
  ghash(dataAddress: number, blocks: number): void;
}

/** The module's bytes. @param relaxed - Whether to use relaxed SIMD's table look-up, one instruction on x86 instead of two. */
export function sm4Module(relaxed: boolean): Uint8Array {
  return assembleModule([expandKernel(relaxed), counterModeKernel(relaxed), ghashKernel()], memoryPages);
}

/** @throws {Error} If this JavaScript engine has no WebAssembly, or none with 128-bit vectors. */
export function startSm4Machine(): Sm4Machine {
  const engine = typeof WebAssembly === "undefined" ? undefined : WebAssembly;
  if (engine === undefined) throw new Error("this JavaScript engine runs no WebAssembly (is --jitless set?)");
  for (const instructionSet of ["relaxed-simd128", "simd128"] as const) {
    const bytes = sm4Module(instructionSet === "relaxed-simd128");
    if (!engine.validate(bytes)) continue;
    const exports = new engine.Instance(new engine.Module(bytes)).exports as Omit<
      Sm4Machine,
      "memory" | "instructionSet"
    > & { readonly memory: { readonly buffer: ArrayBuffer } };
    const { expand, ctr, ghash } = exports;
    return { instructionSet, memory: Buffer.from(exports.memory.buffer), expand, ctr, ghash };
  }
  throw new Error("this JavaScript engine's WebAssembly has no 128-bit vectors");
}
