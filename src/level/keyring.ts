import { timingSafeEqual } from "node:crypto";
import { kernelRandomBytes } from "../crypto/kernel-random.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { hkdf, type Suite } from "../crypto/suite.ts";
import { LevelError } from "./errors.ts";
import type { ValueCipher, ValueCipherProvider } from "./value-cipher.ts";

export const dataKeyBytes = 32;
export const storeIdBytes = 16;
export const epochBytes = 16;
export const checkValueBytes = 32;
const cachedEpochs = 256;

/** The data key of one generation, as the store's header counts them: from 1, one more at each rotation. */
interface Generation {
  readonly number: number;
  readonly dataKey: SecretBuffer;
}

/** The key that new values are sealed under: its own for every opening of the store. */
export interface Epoch {
  readonly generation: number;
  readonly id: Buffer;
  readonly cipher: ValueCipher;
  sealsLeft: number;
}

/**
 * The data keys of an open store and every key derived from them:
 *
 *     HKDF(data key, salt = store id, info = "strongroom/level/" ‖ purpose ‖ "/v1" ‖ generation (u32) ‖ extra)
 *
 * with purpose `value` (extra: the epoch id), `names`, `check` or `header`. Data keys are copied in and wiped on dispose.
 */
export class Keyring implements Disposable {
  readonly #suite: Suite;
  readonly #storeId: Buffer;
  readonly #provider: ValueCipherProvider;
  readonly #sealsPerEpoch: number;
  readonly #generations = new Map<number, Generation>();
  readonly #ciphers = new Map<string, ValueCipher>();
  #sealing: Epoch | undefined;
  #current = 0;
  #disposed = false;

  /** @param sealsPerEpoch - A new epoch begins after this many seals; at most 2^31, the bound for random nonces. */
  constructor(suite: Suite, storeId: Buffer, provider: ValueCipherProvider, sealsPerEpoch = 2 ** 31) {
    this.#suite = suite;
    this.#storeId = storeId;
    this.#provider = provider;
    this.#sealsPerEpoch = sealsPerEpoch;
  }

  get suite(): Suite {
    return this.#suite;
  }

  /** The generation that new values are sealed under. */
  get current(): number {
    return this.#current;
  }

  /** The generations held before the current one, newest first. */
  get older(): number[] {
    return [...this.#generations.keys()].filter((number) => number < this.#current).sort((left, right) => right - left);
  }

  /** Copies a data key in, for opening what is sealed under it. */
  hold(generation: number, dataKey: SecretBuffer): void {
    if (this.#disposed) throw new LevelError("LEVEL_KEY_MISSING", "the store's keys are wiped: it was closed");
    this.#generations.get(generation)?.dataKey[Symbol.dispose]();
    this.#generations.set(generation, { number: generation, dataKey: dataKey.clone() });
  }

  /** Wipes a data key that has not become current. */
  drop(generation: number): void {
    this.#generations.get(generation)?.dataKey[Symbol.dispose]();
    this.#generations.delete(generation);
  }

  /** From now on new values are sealed under this generation, which is held. */
  makeCurrent(generation: number): void {
    this.#current = generation;
    this.#sealing = undefined;
  }

  has(generation: number): boolean {
    return this.#generations.has(generation);
  }

  /** True when `dataKey` is one of those held. Constant time for each. */
  holds(dataKey: SecretBuffer): boolean {
    return [...this.#generations.values()].some((generation) => generation.dataKey.equals(dataKey));
  }

  /** The epoch for `count` seals in the current generation, counted as used. A fresh one when the last is used up. */
  sealingEpoch(count: number): Epoch {
    let epoch = this.#sealing;
    if (epoch === undefined || epoch.sealsLeft < count) {
      const id = kernelRandomBytes(epochBytes);
      const cipher = this.#deriveCipher(this.#current, id);
      if (cipher === undefined) throw new LevelError("LEVEL_KEY_MISSING", "no data key is held yet");
      this.#remember(cacheName(this.#current, id), cipher);
      epoch = { generation: this.#current, id, cipher, sealsLeft: this.#sealsPerEpoch };
      this.#sealing = epoch;
    }
    epoch.sealsLeft -= count;
    return epoch;
  }

  /** The cipher already known for `generation ‖ epoch id` as it stands in a stored value, or undefined. */
  knownCipher(name: string): ValueCipher | undefined {
    return this.#ciphers.get(name);
  }

  /** Derives the cipher of an epoch met in a stored value; undefined for a generation not held. Not kept until {@link keep}. */
  cipherOf(generation: number, epochId: Buffer): ValueCipher | undefined {
    return this.#deriveCipher(generation, epochId);
  }

  /** Keeps a derived cipher once it has opened a value: made-up epoch ids never fill the cache. */
  keep(name: string, cipher: ValueCipher): void {
    this.#remember(name, cipher);
  }

  /** Keys of a purpose other than values. The caller disposes of the result. */
  derive(generation: number, purpose: "names" | "check" | "header", bytes: number): SecretBuffer {
    const held = this.#generations.get(generation);
    if (held === undefined || this.#disposed)
      throw new LevelError("LEVEL_KEY_MISSING", `the data key of generation ${generation} is not held`);
    return derive(this.#suite, held.dataKey, this.#storeId, purpose, generation, undefined, bytes);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const generation of this.#generations.values()) generation.dataKey[Symbol.dispose]();
    for (const cipher of this.#ciphers.values()) cipher[Symbol.dispose]();
    this.#generations.clear();
    this.#ciphers.clear();
    this.#sealing = undefined;
  }

  #deriveCipher(generation: number, epochId: Buffer): ValueCipher | undefined {
    if (this.#disposed) throw new LevelError("LEVEL_KEY_MISSING", "the store's keys are wiped: it was closed");
    const held = this.#generations.get(generation);
    if (held === undefined) return undefined;
    using key = derive(this.#suite, held.dataKey, this.#storeId, "value", generation, epochId, this.#suite.keyBytes);
    return this.#provider.create(this.#suite, key);
  }

  #remember(name: string, cipher: ValueCipher): void {
    if (this.#ciphers.size >= cachedEpochs)
      for (const [oldest, old] of this.#ciphers) {
        if (old === this.#sealing?.cipher) continue;
        this.#ciphers.delete(oldest);
        old[Symbol.dispose]();
        break;
      }
    this.#ciphers.set(name, cipher);
  }
}

/** The name of an epoch in the cache: the 20 bytes `generation (u32) ‖ epoch id (16)` as they stand in a value. */
function cacheName(generation: number, epochId: Buffer): string {
  const bytes = Buffer.allocUnsafe(4 + epochBytes);
  bytes.writeUInt32BE(generation);
  epochId.copy(bytes, 4);
  return bytes.toString("latin1");
}

/** The value that tells the right data key from a wrong one before anything is read: it reveals nothing of the key. */
export function checkValue(suite: Suite, dataKey: SecretBuffer, storeId: Buffer, generation: number): Buffer {
  using value = derive(suite, dataKey, storeId, "check", generation, undefined, checkValueBytes);
  return value.expose((bytes) => Buffer.from(bytes));
}

/** Finds, in constant time for each, the key whose check value this is. */
export function keyOfCheckValue(
  suite: Suite,
  candidates: readonly SecretBuffer[],
  storeId: Buffer,
  generation: number,
  expected: Buffer,
): SecretBuffer | undefined {
  return candidates.find((key) => timingSafeEqual(checkValue(suite, key, storeId, generation), expected));
}

function derive(
  suite: Suite,
  dataKey: SecretBuffer,
  storeId: Buffer,
  purpose: "value" | "names" | "check" | "header",
  generation: number,
  extra: Buffer | undefined,
  bytes: number,
): SecretBuffer {
  const number = Buffer.allocUnsafe(4);
  number.writeUInt32BE(generation);
  const label = Buffer.from(`strongroom/level/${purpose}/v1`);
  return hkdf(
    suite,
    dataKey,
    storeId,
    Buffer.concat(extra === undefined ? [label, number] : [label, number, extra]),
    bytes,
  );
}
