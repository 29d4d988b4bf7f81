import { timingSafeEqual } from "node:crypto";
import { SecretBuffer } from "../secret-buffer.ts";
import { tagBytes } from "../suite.ts";
import { expectCtrArguments, expectGcmArguments } from "./arguments.ts";
import type { Sm4Key, Sm4Provider } from "./provider.ts";
import { BulkHash } from "./wasm-bulk-hash.ts";
import {
  bulkTag,
  encryptShort,
  endShortHash,
  firstCounter,
  hashShort,
  setCounter,
  shortMessageBytes,
  xorInto,
} from "./wasm-gcm.ts";
import { blockBytes, layout, passBytes, pieceBytes, roundKeysBytes } from "./wasm-layout.ts";
import { type Sm4Machine, startSm4Machine } from "./wasm-machine.ts";

const keyBytes = 16;

let provider: Sm4Provider | undefined;

/**
 * SM4 in WebAssembly with 128-bit vectors: needs no compiler, takes the same time for every key and text.
 *
 * There is one instance of the module in a thread, with a memory of 64 KiB. It holds the expanded key that was used last,
 * until that is disposed of; texts go through it in pieces and are wiped from it. Long messages are hashed by OpenSSL.
 *
 * @throws {Error} If this JavaScript engine has no WebAssembly with vectors.
 */
export function wasmSm4(): Sm4Provider {
  provider ??= wasmSm4On(startSm4Machine());
  return provider;
}

/** The same on a machine that the caller has started, and leaves to the provider. */
export function wasmSm4On(machine: Sm4Machine): Sm4Provider {
  return new WasmSm4(machine);
}

class WasmSm4 implements Sm4Provider {
  readonly name = "wasm";
  readonly detail: string;
  readonly #machine: Sm4Machine;
  /** Whose round keys the machine holds. */
  #loaded: WasmKey | undefined;

  constructor(machine: Sm4Machine) {
    this.#machine = machine;
    this.detail = machine.instructionSet;
  }

  expand(key: SecretBuffer): Sm4Key {
    if (key.byteLength !== keyBytes) throw new RangeError(`an SM4 key has ${keyBytes} bytes, got ${key.byteLength}`);
    return new WasmKey(this, key);
  }

  /** The machine, with this key's round keys in it. */
  machineFor(key: WasmKey, roundKeys: SecretBuffer): Sm4Machine {
    if (this.#loaded !== key) {
      roundKeys.expose((bytes) => this.#machine.memory.set(bytes, layout.roundKeys));
      this.#loaded = key;
    }
    return this.#machine;
  }

  /** Wipes the key from the machine if it is there. */
  forget(key: WasmKey): void {
    if (this.#loaded !== key) return;
    this.#machine.memory.fill(0, 0, layout.data);
    this.#loaded = undefined;
  }

  /** @param roundKeys - 128 bytes, written. */
  expandInto(key: WasmKey, keyMaterial: Uint8Array, roundKeys: Uint8Array): void {
    const { memory } = this.#machine;
    memory.set(keyMaterial, layout.key);
    this.#machine.expand(layout.key);
    memory.fill(0, layout.key, layout.key + keyBytes);
    memory.copy(roundKeys, 0, layout.roundKeys, layout.roundKeys + roundKeysBytes);
    this.#loaded = key;
  }
}

class WasmKey implements Sm4Key {
  readonly #owner: WasmSm4;
  readonly #key: SecretBuffer;
  readonly #roundKeys: SecretBuffer;
  /** GHASH's key, made when it is first needed. */
  #hashKey: SecretBuffer | undefined;

  constructor(owner: WasmSm4, key: SecretBuffer) {
    this.#owner = owner;
    const roundKeys = Buffer.allocUnsafeSlow(roundKeysBytes);
    key.expose((bytes) => owner.expandInto(this, bytes, roundKeys));
    this.#key = key.clone();
    this.#roundKeys = SecretBuffer.adopt(roundKeys);
  }

  /** @throws {TypeError | RangeError} As {@link expectCtrArguments} says. */
  ctr(counter: Uint8Array, input: Uint8Array, output: Uint8Array): void {
    const machine = this.#machine();
    expectCtrArguments(counter, input, output);
    this.#keystream(machine, counter, input, output);
  }

  /** @throws {TypeError | RangeError} As {@link expectGcmArguments} says. */
  gcmSeal(
    nonce: Uint8Array,
    associatedData: Uint8Array,
    plaintext: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
  ): void {
    const machine = this.#machine();
    expectGcmArguments(nonce, associatedData, plaintext, ciphertext, tag);
    this.#loadHashKey(machine);
    if (associatedData.length + plaintext.length > shortMessageBytes) {
      const hash = this.#key.expose((key) => new BulkHash(key, nonce));
      hash.updatePadded(associatedData);
      this.#keystream(machine, firstCounter(nonce, 2), plaintext, ciphertext);
      hash.updatePadded(ciphertext);
      bulkTag(machine, hash, associatedData.length, ciphertext.length, tag);
      return;
    }
    hashShort(machine, associatedData);
    const { memory } = machine;
    const text = layout.data + blockBytes;
    memory.set(plaintext, text);
    const usedBytes = encryptShort(machine, nonce, plaintext.length);
    ciphertext.set(memory.subarray(text, text + plaintext.length));
    tag.set(memory.subarray(layout.data, text));
    endShortHash(machine, associatedData.length, plaintext.length);
    xorInto(tag, memory, layout.hash);
    memory.fill(0, layout.data, layout.data + usedBytes);
  }

  /** @throws {TypeError | RangeError} As {@link expectGcmArguments} says. */
  gcmOpen(
    nonce: Uint8Array,
    associatedData: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
    plaintext: Uint8Array,
  ): boolean {
    const machine = this.#machine();
    expectGcmArguments(nonce, associatedData, ciphertext, plaintext, tag);
    this.#loadHashKey(machine);
    const expected = new Uint8Array(tagBytes);
    if (associatedData.length + ciphertext.length > shortMessageBytes) {
      const hash = this.#key.expose((key) => new BulkHash(key, nonce));
      hash.updatePadded(associatedData);
      hash.updatePadded(ciphertext);
      bulkTag(machine, hash, associatedData.length, ciphertext.length, expected);
      const authentic = timingSafeEqual(expected, tag);
      if (authentic) this.#keystream(machine, firstCounter(nonce, 2), ciphertext, plaintext);
      else plaintext.fill(0);
      return authentic;
    }
    hashShort(machine, associatedData);
    const { memory } = machine;
    const text = layout.data + blockBytes;
    memory.set(ciphertext, text);
    endShortHash(machine, associatedData.length, ciphertext.length);
    const usedBytes = encryptShort(machine, nonce, ciphertext.length);
    expected.set(memory.subarray(layout.data, text));
    xorInto(expected, memory, layout.hash);
    const authentic = timingSafeEqual(expected, tag);
    if (authentic) plaintext.set(memory.subarray(text, text + ciphertext.length));
    else plaintext.fill(0);
    memory.fill(0, layout.data, layout.data + usedBytes);
    return authentic;
  }

  [Symbol.dispose](): void {
    this.#owner.forget(this);
    this.#key[Symbol.dispose]();
    this.#roundKeys[Symbol.dispose]();
    this.#hashKey?.[Symbol.dispose]();
  }

  #machine(): Sm4Machine {
    if (this.#roundKeys.disposed) throw new Error("SM4 key used after it was wiped");
    return this.#owner.machineFor(this, this.#roundKeys);
  }

  #keystream(machine: Sm4Machine, counter: Uint8Array, input: Uint8Array, output: Uint8Array): void {
    const { memory } = machine;
    setCounter(memory, counter);
    for (let from = 0; from < input.length; from += pieceBytes) {
      const length = Math.min(pieceBytes, input.length - from);
      memory.set(length === input.length ? input : input.subarray(from, from + length), layout.data);
      machine.ctr(layout.data, Math.ceil(length / passBytes));
      output.set(memory.subarray(layout.data, layout.data + length), from);
    }
    const usedBytes = Math.min(pieceBytes, Math.ceil(input.length / passBytes) * passBytes);
    memory.fill(0, layout.data, layout.data + usedBytes);
  }

  #loadHashKey(machine: Sm4Machine): void {
    this.#hashKey ??= this.#makeHashKey(machine);
    this.#hashKey.expose((bytes) => machine.memory.set(bytes, layout.hashKey));
  }

  #makeHashKey(machine: Sm4Machine): SecretBuffer {
    const zeros = new Uint8Array(blockBytes);
    const hashKey = Buffer.allocUnsafeSlow(blockBytes);
    this.#keystream(machine, zeros, zeros, hashKey);
    return SecretBuffer.adopt(hashKey);
  }
}
