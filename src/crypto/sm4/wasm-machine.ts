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

/** Vector instructions; the relaxed ones look a table up in one instruction on x86, the others in two. */
export type InstructionSet = "relaxed-simd128" | "simd128";

/** The SM4 kernels, assembled and started, with the memory that they share with the caller. */
export interface Sm4Machine {
  readonly instructionSet: InstructionSet;
  /** All of the memory, as wasm-layout.ts divides it. It never grows, so the view stays good. */
  readonly memory: Buffer;
  /** Expands the 16-byte key at the address. */
  expand(keyAddress: number): void;
  /** XORs `passes` × 256 bytes with the keystream, and counts the counter up by 16 for each pass. */
  ctr(dataAddress: number, passes: number): void;
  /** Hashes `blocks` × 16 bytes, at least one block, onto the running value. */
  ghash(dataAddress: number, blocks: number): void;
}

function sm4Module(instructionSet: InstructionSet): Uint8Array {
  const relaxed = instructionSet === "relaxed-simd128";
  return assembleModule([expandKernel(relaxed), counterModeKernel(relaxed), ghashKernel()], memoryPages);
}

/**
 * @param instructionSets - Those to choose from, the best first.
 * @throws {Error} If this JavaScript engine has no WebAssembly, or none with these instructions.
 */
export function startSm4Machine(
  instructionSets: readonly InstructionSet[] = ["relaxed-simd128", "simd128"],
): Sm4Machine {
  const engine = typeof WebAssembly === "undefined" ? undefined : WebAssembly;
  if (engine === undefined) throw new Error("this JavaScript engine runs no WebAssembly (is --jitless set?)");
  for (const instructionSet of instructionSets) {
    const bytes = sm4Module(instructionSet);
    if (!engine.validate(bytes)) continue;
    const exports = new engine.Instance(new engine.Module(bytes)).exports as Omit<
      Sm4Machine,
      "memory" | "instructionSet"
    > & { readonly memory: { readonly buffer: ArrayBuffer } };
    const { expand, ctr, ghash } = exports;
    return { instructionSet, memory: Buffer.from(exports.memory.buffer), expand, ctr, ghash };
  }
  throw new Error(`this JavaScript engine's WebAssembly has no ${instructionSets.join(" or ")}`);
}
