import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import type { Sm4Key, Sm4Provider } from "../../../../src/crypto/sm4/provider.ts";
import { wasmSm4On } from "../../../../src/crypto/sm4/wasm.ts";
import { startSm4Machine } from "../../../../src/crypto/sm4/wasm-machine.ts";

/** Every way to compute SM4 that runs on this machine, each variant of it apart. */
export const providers: readonly Sm4Provider[] = [
  wasmSm4On(startSm4Machine(["relaxed-simd128"])),
  wasmSm4On(startSm4Machine(["simd128"])),
];

export function nameOf(provider: Sm4Provider): string {
  return `${provider.name} (${provider.detail})`;
}

/** Expands a copy of the key. */
export function expandKey(provider: Sm4Provider, key: Uint8Array): Sm4Key {
  using secret = SecretBuffer.copyOf(key);
  return provider.expand(secret);
}
