import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  timingSafeEqual,
} from "node:crypto";
import type { Suite } from "../crypto/suite.ts";
import { LevelError } from "./errors.ts";
import { encryptedEntries, plainEntries } from "./header.ts";
import type { Keyring } from "./keyring.ts";
import { describeKey } from "./sealed-value.ts";

/** How key names stand in the base database. */
export interface KeyNames {
  /** False when the stored order is not the order of names. */
  readonly ordered: boolean;
  /** The stored keys below which every entry lies: `from` inclusive, `to` exclusive. */
  readonly bounds: { readonly from: Buffer; readonly to: Buffer };
  /** The stored key that a write goes to. */
  store(name: Uint8Array): Buffer;
  /** Where an entry may still lie from before the rotation under way; undefined when there is none. */
  storeUnderOlder(name: Uint8Array): Buffer | undefined;
  /** Where an entry may lie in a snapshot, taken before rotations that have finished since: newest first. */
  storeInSnapshot(name: Uint8Array): Buffer[];
  /** @throws {LevelError} `LEVEL_CORRUPTION` when the stored key is not a name that this store wrote. */
  name(storedKey: Buffer): Buffer;
}

/** Names as they are, behind one byte: 0x01 ‖ name. Their order is kept. */
export const plainKeyNames: KeyNames = {
  ordered: true,
  bounds: { from: Buffer.of(plainEntries), to: Buffer.of(plainEntries + 1) },
  store(name) {
    const stored = Buffer.allocUnsafe(name.byteLength + 1);
    stored[0] = plainEntries;
    stored.set(name, 1);
    return stored;
  },
  storeUnderOlder: () => undefined,
  storeInSnapshot: () => [],
  name: (storedKey) => storedKey.subarray(1),
};

const generationStart = 1;
const sivStart = 5;
const sivBytes = 16;
const nameStart = sivStart + sivBytes;
const macKeyBytes = 32;

interface NameKeys {
  readonly mac: KeyObject;
  readonly cipher: KeyObject;
}

/**
 * Names encrypted so that an equal name is an equal stored key, and nothing else shows but its length:
 *
 *     0x02 ‖ generation (u32) ‖ SIV (16) ‖ CTR(k2, SIV, name)        SIV = first 16 bytes of HMAC(k1, name)
 *
 * It is the synthetic-IV construction of RFC 5297 with HMAC-SHA-256 and AES-256-CTR (suite intl) or HMAC-SM3 and
 * SM4-CTR (suite sm) in place of S2V and AES-CTR; the whole SIV is the first counter block, counted as one 128-bit
 * big-endian number. `k1 (32) ‖ k2` is the `names` key of the generation (see {@link Keyring}).
 */
export class EncryptedKeyNames implements KeyNames {
  readonly ordered = false;
  readonly bounds: { readonly from: Buffer; readonly to: Buffer } = {
    from: Buffer.of(encryptedEntries),
    to: Buffer.of(encryptedEntries + 1),
  };
  readonly #keyring: Keyring;
  readonly #keys = new Map<number, NameKeys>();
  #older: number | undefined;

  constructor(keyring: Keyring) {
    this.#keyring = keyring;
  }

  /** The generation under which entries may still lie, while a rotation is unfinished. */
  set olderGeneration(generation: number | undefined) {
    this.#older = generation;
  }

  store(name: Uint8Array): Buffer {
    return this.#storeUnder(this.#keyring.current, name);
  }

  storeUnderOlder(name: Uint8Array): Buffer | undefined {
    return this.#older === undefined ? undefined : this.#storeUnder(this.#older, name);
  }

  storeInSnapshot(name: Uint8Array): Buffer[] {
    return this.#keyring.older.map((generation) => this.#storeUnder(generation, name));
  }

  name(storedKey: Buffer): Buffer {
    const generation = storedNameGeneration(storedKey);
    if (generation !== undefined && this.#keyring.has(generation)) {
      const keys = this.#keysOf(generation);
      const siv = storedKey.subarray(sivStart, nameStart);
      const decipher = createDecipheriv(ctrCipher(this.#keyring.suite), keys.cipher, siv);
      const name = decipher.update(storedKey.subarray(nameStart));
      if (timingSafeEqual(siv, syntheticIv(this.#keyring.suite, keys, name))) return name;
    }
    throw new LevelError("LEVEL_CORRUPTION", `the stored key ${describeKey(storedKey)} is not a name of this store`);
  }

  #storeUnder(generation: number, name: Uint8Array): Buffer {
    const keys = this.#keysOf(generation);
    const siv = syntheticIv(this.#keyring.suite, keys, name);
    const stored = Buffer.allocUnsafe(nameStart + name.byteLength);
    stored[0] = encryptedEntries;
    stored.writeUInt32BE(generation, generationStart);
    siv.copy(stored, sivStart);
    stored.set(createCipheriv(ctrCipher(this.#keyring.suite), keys.cipher, siv).update(name), nameStart);
    return stored;
  }

  #keysOf(generation: number): NameKeys {
    const known = this.#keys.get(generation);
    if (known !== undefined) return known;
    using secret = this.#keyring.derive(generation, "names", macKeyBytes + this.#keyring.suite.keyBytes);
    const keys = secret.expose((bytes) => ({
      mac: createSecretKey(bytes.subarray(0, macKeyBytes)),
      cipher: createSecretKey(bytes.subarray(macKeyBytes)),
    }));
    this.#keys.set(generation, keys);
    return keys;
  }
}

/** The generation in an encrypted stored key, not yet authenticated; undefined when it is not one. */
export function storedNameGeneration(storedKey: Buffer): number | undefined {
  return storedKey.length < nameStart || storedKey[0] !== encryptedEntries
    ? undefined
    : storedKey.readUInt32BE(generationStart);
}

function ctrCipher(suite: Suite): string {
  return suite.name === "intl" ? "aes-256-ctr" : "sm4-ctr";
}

function syntheticIv(suite: Suite, keys: NameKeys, name: Uint8Array): Buffer {
  return createHmac(suite.hash, keys.mac).update(name).digest().subarray(0, sivBytes);
}
