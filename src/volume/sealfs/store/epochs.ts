import { kernelRandomBytes } from "../../../crypto/kernel-random.ts";
import type { BlockCipher } from "../block-cipher.ts";
import { FsError } from "../fs-error.ts";
import type { ZoneKeys } from "../stored-file.ts";

/** How many epochs a file's blocks may lie under at once. */
export const mostEpochs = 16;
/** A new epoch begins at this many seals; the bound for random 96-bit nonces is 2^32 (NIST SP 800-38D 8.3). */
const sealsOfEpoch = 2 ** 30;
/** Never passed, even while no room is left for another epoch. */
const mostSeals = 2 ** 31;
/** More than a session seals between two heads. */
const sealsLostAtMost = 2 ** 20;

/** A stretch of a file's seals under one key. */
export interface Epoch {
  /** By which map entries name it, 0 to 255; free for another epoch when no slot lies under it. */
  readonly index: number;
  /** Of the zone's data key. */
  readonly generation: number;
  /** 16 bytes, random. */
  readonly id: Buffer;
  /** How many slots lie under it. */
  slots: number;
  /** How many seals it was used for. */
  seals: number;
}

/** The epochs of one file, and their ciphers, made when first used. */
export class Epochs implements Disposable {
  readonly #keys: ZoneKeys;
  readonly #fileId: Buffer;
  readonly #ciphers = new Map<Epoch, BlockCipher>();
  #table: readonly Epoch[];
  #current: Epoch | undefined;

  /** @param current - The epoch of the last head, a member of `table`; undefined for a new file. */
  constructor(keys: ZoneKeys, fileId: Buffer, table: readonly Epoch[], current: Epoch | undefined) {
    this.#keys = keys;
    this.#fileId = fileId;
    this.#table = table;
    this.#current = current;
  }

  get zoneId(): Buffer {
    return this.#keys.zoneId;
  }

  /** The generation that new blocks are to lie under. */
  get newestGeneration(): number {
    return this.#keys.generation;
  }

  /** All that are in use, and the current one. */
  get inUse(): readonly Epoch[] {
    return this.#table.filter((epoch) => epoch.slots > 0 || epoch === this.#current);
  }

  /** By its index; undefined when no such epoch is in use. */
  at(index: number): Epoch | undefined {
    for (const epoch of this.#table) if (epoch.index === index) return epoch;
    return undefined;
  }

  /**
   * The epoch to seal under: a new one when the zone's key has been rotated or the old one has sealed enough. While the table
   * is full the old one serves on, up to 2^31 seals.
   *
   * @throws {FsError} EDQUOT when it has sealed that much: the file must be sealed anew. ENOKEY without the zone's key.
   */
  current(): Epoch {
    const last = this.#current;
    if (last !== undefined && last.seals < sealsOfEpoch && last.generation >= this.#keys.generation) return last;
    const table = this.inUse;
    if (last !== undefined && table.length >= mostEpochs) {
      if (last.seals >= mostSeals) throw new FsError("EDQUOT", "too many epochs are in use for another one");
      return last;
    }
    const index = freeIndex(table);
    const epoch: Epoch = { index, generation: this.#keys.generation, id: kernelRandomBytes(16), slots: 0, seals: 0 };
    this.cipherOf(epoch); // refuses without the key, before anything is changed
    this.#retain([...table, epoch]);
    this.#current = epoch;
    return epoch;
  }

  /** A session that was lost may have sealed more under the current epoch than the last head says. */
  countLostSeals(): void {
    if (this.#current !== undefined) this.#current.seals += sealsLostAtMost;
  }

  /** @throws {FsError} ENOKEY when the generation is not there or destroyed. */
  cipherOf(epoch: Epoch): BlockCipher {
    const known = this.#ciphers.get(epoch);
    if (known !== undefined) return known;
    const cipher = this.#keys.fileCipher(epoch.generation, this.#fileId, epoch.id);
    this.#ciphers.set(epoch, cipher);
    return cipher;
  }

  [Symbol.dispose](): void {
    for (const cipher of this.#ciphers.values()) cipher[Symbol.dispose]();
    this.#ciphers.clear();
  }

  #retain(table: readonly Epoch[]): void {
    for (const [epoch, cipher] of this.#ciphers)
      if (!table.includes(epoch)) {
        cipher[Symbol.dispose]();
        this.#ciphers.delete(epoch);
      }
    this.#table = table;
  }
}

function freeIndex(table: readonly Epoch[]): number {
  let index = 0;
  while (table.some((epoch) => epoch.index === index)) index += 1;
  return index;
}
