import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { addonSm4, loadSm4Addon, type Sm4Addon } from "../../../../src/crypto/sm4/addon.ts";
import { opensslSm4 } from "../../../../src/crypto/sm4/openssl.ts";
import type { Sm4Key, Sm4Provider } from "../../../../src/crypto/sm4/provider.ts";
import { wasmSm4On } from "../../../../src/crypto/sm4/wasm.ts";
import { startSm4Machine } from "../../../../src/crypto/sm4/wasm-machine.ts";

/** Every way to compute SM4 that runs on this machine, each variant of it apart. */
export const providers: readonly Sm4Provider[] = [
  ...addonKernels(),
  wasmSm4On(startSm4Machine(["relaxed-simd128"])),
  wasmSm4On(startSm4Machine(["simd128"])),
  opensslSm4(),
];

function addonKernels(): Sm4Provider[] {
  let addon: Sm4Addon;
  try {
    addon = loadSm4Addon();
  } catch {
    return []; // script/setup found no compiler
  }
  return addon.kernels().map((kernel) => addonSm4(addon, kernel));
}

export function nameOf(provider: Sm4Provider): string {
  return `${provider.name} (${provider.detail})`;
}

/** Expands a copy of the key. */
export function expandKey(provider: Sm4Provider, key: Uint8Array): Sm4Key {
  using secret = SecretBuffer.copyOf(key);
  return provider.expand(secret);
}
