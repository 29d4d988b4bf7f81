import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { SecretBuffer } from "../secret-buffer.ts";
import type { Sm4Key, Sm4Provider } from "./provider.ts";

/** An expanded key in the addon's own memory; the addon knows its own. */
interface HeldKey {
  readonly heldByAddon: never;
}

/** What native/sm4/addon.c exports. It checks every argument: `TypeError` for a kind, `RangeError` for a length. */
export interface Sm4Addon {
  /** The kernels that this processor runs, best first, such as `avx512-gfni`; `scalar` is the last. */
  kernels(): readonly string[];
  expand(kernel: string, key: Uint8Array): HeldKey;
  wipe(key: HeldKey): void;
  ctr(key: HeldKey, counter: Uint8Array, input: Uint8Array, output: Uint8Array): void;
  seal(
    key: HeldKey,
    nonce: Uint8Array,
    associatedData: Uint8Array,
    plaintext: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
  ): void;
  open(
    key: HeldKey,
    nonce: Uint8Array,
    associatedData: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
    plaintext: Uint8Array,
  ): boolean;
}

/** Where `script/setup` puts the compiled addon, in a checkout as in an installed package. */
export const sm4AddonPath: string = fileURLToPath(new URL("../../../native/sm4/build/sm4.node", import.meta.url));

/**
 * Loads the compiled addon.
 *
 * @throws {Error} When it was not compiled, is for another processor, or Node may not load addons (`--permission`).
 */
export function loadSm4Addon(path: string = sm4AddonPath): Sm4Addon {
  const loaded: unknown = createRequire(import.meta.url)(path);
  if (!isSm4Addon(loaded)) throw new Error(`${path} is not the SM4 addon: run script/setup`);
  return loaded;
}

function isSm4Addon(loaded: unknown): loaded is Sm4Addon {
  if (typeof loaded !== "object" || loaded === null) return false;
  const functions: Readonly<Record<string, unknown>> = { ...loaded };
  return ["kernels", "expand", "wipe", "ctr", "seal", "open"].every((name) => typeof functions[name] === "function");
}

/**
 * SM4 by the addon. No kernel reads memory at, or branches on, what depends on a key or on data.
 *
 * @param kernel - One of `addon.kernels()`, which is the provider's `detail`.
 */
export function addonSm4(addon: Sm4Addon, kernel: string): Sm4Provider {
  return { name: "addon", detail: kernel, expand: (key) => new AddonKey(addon, kernel, key) };
}

class AddonKey implements Sm4Key {
  readonly #addon: Sm4Addon;
  readonly #key: HeldKey;

  constructor(addon: Sm4Addon, kernel: string, key: SecretBuffer) {
    this.#addon = addon;
    this.#key = key.expose((bytes) => addon.expand(kernel, bytes));
  }

  ctr(counter: Uint8Array, input: Uint8Array, output: Uint8Array): void {
    this.#addon.ctr(this.#key, counter, input, output);
  }

  gcmSeal(
    nonce: Uint8Array,
    associatedData: Uint8Array,
    plaintext: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
  ): void {
    this.#addon.seal(this.#key, nonce, associatedData, plaintext, ciphertext, tag);
  }

  gcmOpen(
    nonce: Uint8Array,
    associatedData: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
    plaintext: Uint8Array,
  ): boolean {
    return this.#addon.open(this.#key, nonce, associatedData, ciphertext, tag, plaintext);
  }

  [Symbol.dispose](): void {
    this.#addon.wipe(this.#key);
  }
}
