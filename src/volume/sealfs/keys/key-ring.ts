import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { Suite } from "../../../crypto/suite.ts";
import type { BlockCipher } from "../block-cipher.ts";
import type { BlockCiphers } from "../cipher/block-ciphers.ts";
import { nodeKeyedFunctions } from "../cipher/keyed-functions.ts";
import { FsError } from "../fs-error.ts";
import type { ZoneKeys } from "../stored-file.ts";
import { CipherCache } from "./cipher-cache.ts";
import { asFsError } from "./fs-failure.ts";
import type { Zone } from "./zone.ts";

/** Data keys of zones kept unwrapped, at most; the longest unused go first. */
const mostUnwrapped = 4096;
/** File ciphers kept beyond their last use, at most. */
const mostIdleCiphers = 512;
const label = Buffer.from("strongroom/sealfs/v1/file");
const epochBytes = 16;
const fileIdBytes = 16;
const zoneIdBytes = 16;
/** What a key is derived with, put together here each time: derivations never overlap. */
const salt = Buffer.alloc(epochBytes + fileIdBytes);
const info = Buffer.concat([label, Buffer.alloc(zoneIdBytes + 4)]);

/** What keys and ciphers of one generation are known by. */
interface GenerationNames {
  readonly generation: number;
  readonly zone: string;
  readonly key: string;
  /** What a cipher falls under the revocation of. */
  readonly both: readonly string[];
}

/** Where the ring gets its keys. */
export interface ZoneSource {
  readonly suite: Suite;
  /** The zone as it is now; undefined when it is gone from the table. */
  zone(zoneId: Buffer): Zone | undefined;
  /** @throws {KeyTableError} `GENERATION_ABSENT`, `PRIVATE_KEY_ABSENT`, `ENVELOPE_REFUSED`. */
  unwrap(zone: Zone, generation: number): SecretBuffer;
}

/**
 * The unwrapped keys of a mounted volume: data keys of zones, and the ciphers of files that follow from them.
 *
 *     file key = HKDF(suite hash, secret = the generation's data key, salt = epoch (16) ‖ file id (16),
 *                     info = "strongroom/sealfs/v1/file" ‖ zone id (16) ‖ generation (u32))
 */
export class KeyRing implements Disposable {
  readonly #source: ZoneSource;
  readonly #makers: BlockCiphers;
  readonly #unwrapped = new Map<string, SecretBuffer>();
  readonly #ciphers = new CipherCache(mostIdleCiphers);
  readonly #revoked = new Set<string>();
  /** Of the data key that was used last, which need not be moved to the end again. */
  #latest = "";

  constructor(source: ZoneSource, makers: BlockCiphers) {
    this.#source = source;
    this.#makers = makers;
  }

  /** How many keys are in memory, unwrapped: of zones, and of files. */
  get held(): { readonly zoneKeys: number; readonly fileCiphers: number } {
    return { zoneKeys: this.#unwrapped.size, fileCiphers: this.#ciphers.size };
  }

  /**
   * The keys of a zone that is not plain. They stay usable after the zone's folder is gone, for files that are still open.
   */
  keysOf(zone: Zone): ZoneKeys {
    return new RingZoneKeys(this.#source, zone, (latest, names, fileId, epoch) =>
      this.#fileCipher(latest, names, fileId, epoch),
    );
  }

  /** A data key that was made just now need not be unwrapped. The ring becomes its owner. */
  adopt(zoneId: Buffer, generation: number, key: SecretBuffer): void {
    this.#keep(keyName(zoneId, generation), key);
  }

  /** Wipes a zone's keys; who still holds a cipher of it gets ENOKEY from now on. */
  revoke(zoneId: Buffer): void {
    const zone = zoneId.toString("hex");
    this.#revoked.add(zone);
    this.#ciphers.revoke(zone);
    for (const [name, key] of this.#unwrapped) if (name.startsWith(zone)) this.#forget(name, key);
  }

  /** Wipes one generation's data key. Ciphers of files that are open go on. */
  forgetGeneration(zoneId: Buffer, generation: number): void {
    const name = keyName(zoneId, generation);
    const key = this.#unwrapped.get(name);
    if (key !== undefined) this.#forget(name, key);
  }

  /** Wipes one generation's data key and the ciphers that follow from it; who still holds one gets ENOKEY from now on. */
  revokeGeneration(zoneId: Buffer, generation: number): void {
    this.forgetGeneration(zoneId, generation);
    this.#ciphers.revoke(keyName(zoneId, generation));
  }

  [Symbol.dispose](): void {
    this.#ciphers[Symbol.dispose]();
    for (const [name, key] of this.#unwrapped) this.#forget(name, key);
  }

  #fileCipher(zone: Zone, names: GenerationNames, fileId: Buffer, epoch: Buffer): BlockCipher {
    if (fileId.length !== fileIdBytes || epoch.length !== epochBytes)
      throw new RangeError("a file's id and an epoch have 16 bytes each");
    if (this.#revoked.has(names.zone)) throw new FsError("ENOKEY", "the zone's keys were destroyed");
    epoch.copy(salt);
    fileId.copy(salt, epochBytes);
    return this.#ciphers.take(names.key + salt.toString("latin1"), names.both, () => {
      const dataKey = this.#dataKey(zone, names);
      zone.zoneId.copy(info, label.length);
      info.writeUInt32BE(names.generation, label.length + zoneIdBytes);
      const { suite } = this.#source;
      const { derive } = this.#makers.keyed ?? nodeKeyedFunctions;
      return this.#makers.make(suite, derive(suite, dataKey, salt, info, suite.keyBytes));
    });
  }

  /** Stays the ring's. */
  #dataKey(zone: Zone, { key: name, generation }: GenerationNames): SecretBuffer {
    const known = this.#unwrapped.get(name);
    if (known !== undefined) {
      if (name === this.#latest) return known;
      this.#unwrapped.delete(name);
      this.#unwrapped.set(name, known);
      this.#latest = name;
      return known;
    }
    try {
      const key = this.#source.unwrap(zone, generation);
      this.#keep(name, key);
      return key;
    } catch (error) {
      throw asFsError(error);
    }
  }

  #keep(name: string, key: SecretBuffer): void {
    this.#unwrapped.get(name)?.[Symbol.dispose]();
    this.#unwrapped.delete(name);
    this.#unwrapped.set(name, key);
    this.#latest = name;
    if (this.#unwrapped.size <= mostUnwrapped) return;
    for (const [oldest, oldestKey] of this.#unwrapped) {
      this.#forget(oldest, oldestKey);
      return;
    }
  }

  #forget(name: string, key: SecretBuffer): void {
    key[Symbol.dispose]();
    this.#unwrapped.delete(name);
  }
}

class RingZoneKeys implements ZoneKeys {
  readonly zoneId: Buffer;
  readonly #source: ZoneSource;
  readonly #fileCipher: (zone: Zone, names: GenerationNames, fileId: Buffer, epoch: Buffer) => BlockCipher;
  #last: Zone;
  #names: GenerationNames | undefined;

  constructor(
    source: ZoneSource,
    zone: Zone,
    fileCipher: (zone: Zone, names: GenerationNames, fileId: Buffer, epoch: Buffer) => BlockCipher,
  ) {
    this.zoneId = zone.zoneId;
    this.#source = source;
    this.#last = zone;
    this.#fileCipher = fileCipher;
  }

  get generation(): number {
    const { destroyed, highestGeneration } = this.#latest();
    if (destroyed) throw new FsError("ENOKEY", "the zone's keys were destroyed");
    return highestGeneration;
  }

  fileCipher(generation: number, fileId: Buffer, epoch: Buffer): BlockCipher {
    if (this.#names?.generation !== generation) this.#names = namesOf(this.zoneId, generation);
    return this.#fileCipher(this.#latest(), this.#names, fileId, epoch);
  }

  /** A zone whose folder was removed is known from before. */
  #latest(): Zone {
    this.#last = this.#source.zone(this.zoneId) ?? this.#last;
    return this.#last;
  }
}

function keyName(zoneId: Buffer, generation: number): string {
  return `${zoneId.toString("hex")}/${generation}`;
}

function namesOf(zoneId: Buffer, generation: number): GenerationNames {
  const [zone, key] = [zoneId.toString("hex"), keyName(zoneId, generation)];
  return { generation, zone, key, both: [zone, key] };
}
