import { nonceBytes } from "../block-cipher.ts";
import type { FsError } from "../fs-error.ts";
import type { BackingFile } from "../stored-file.ts";
import { SlotBinding } from "./associated-data.ts";
import { damage, type ReportDamage } from "./damage.ts";
import type { Epoch, Epochs } from "./epochs.ts";
import { type Geometry, slotPrefixBytes } from "./geometry.ts";
import type { MapEntry } from "./map-entry.ts";

/** Within a slot: where its nonce and where its tag begins. */
const sealedAt = 4;
export const tagAt: number = sealedAt + nonceBytes;

const scratchBytes = 2 ** 20;
/** Ciphertext on its way, of whatever file: calls never overlap, since all are synchronous. */
const blockScratch = Buffer.allocUnsafeSlow(scratchBytes);
const pageScratch = Buffer.allocUnsafeSlow(4096 + slotPrefixBytes);

/**
 * Seals and opens the slots of one file. A slot:
 *
 *     epoch index 1 ‖ length 3 ‖ nonce 12 ‖ tag 16 ‖ ciphertext
 */
export class SlotIo {
  readonly geometry: Geometry;
  readonly #backing: BackingFile;
  readonly #fileId: Buffer;
  readonly #epochs: Epochs;
  readonly #report: ReportDamage;
  readonly #binding: SlotBinding;
  /** How many neighbouring slots of blocks are read or written at once. */
  readonly mostAtOnce: number;
  /** Where blocks are sealed into and opened from, slot after slot. */
  readonly scratch: Buffer = blockScratch;
  #readBytes = 0;

  constructor(backing: BackingFile, fileId: Buffer, geometry: Geometry, epochs: Epochs, report: ReportDamage) {
    this.#backing = backing;
    this.#fileId = fileId;
    this.geometry = geometry;
    this.#epochs = epochs;
    this.#report = report;
    this.#binding = new SlotBinding(fileId);
    this.mostAtOnce = Math.floor(scratchBytes / geometry.strideBytes);
  }

  /**
   * Seals a block into the scratch.
   *
   * @param position - Of the slot in the scratch.
   * @param plaintext - Up to a block; what is missing reads as zeros.
   */
  seal(position: number, block: number, slot: number, birth: number, epoch: Epoch, plaintext: Buffer): void {
    const at = position * this.geometry.strideBytes;
    this.#seal(this.scratch, at, 0, block, slot, birth, epoch, plaintext);
  }

  /** Writes slots from the scratch. @param lastLength - The plaintext length of the last of them. */
  write(firstSlot: number, count: number, lastLength: number): void {
    const bytes = (count - 1) * this.geometry.strideBytes + slotPrefixBytes + lastLength;
    this.#backing.write(this.geometry.placeOf(firstSlot), this.scratch.subarray(0, bytes));
  }

  /** Reads neighbouring slots into the scratch. */
  read(firstSlot: number, count: number): void {
    const { strideBytes } = this.geometry;
    this.#readBytes = this.#backing.read(
      this.geometry.placeOf(firstSlot),
      this.scratch.subarray(0, count * strideBytes),
    );
  }

  /** How much plaintext the slot at this position of the scratch says it has. @throws {FsError} EIO for more than fits. */
  lengthAt(position: number, block: number): number {
    const at = position * this.geometry.strideBytes;
    const length = at + slotPrefixBytes <= this.#readBytes ? this.scratch.readUIntBE(at + 1, 3) : -1;
    if (length < 0 || length > this.geometry.blockBytes || at + slotPrefixBytes + length > this.#readBytes)
      throw this.damaged(0, block, "is cut off or has an impossible length");
    return length;
  }

  /**
   * Opens a block from the scratch.
   *
   * @param plaintext - As long as {@link lengthAt} said; zeroed when the block is refused.
   * @throws {FsError} EIO when it is not what the map's entry says. ENOKEY without its generation's key.
   */
  open(position: number, block: number, entry: MapEntry, plaintext: Buffer): void {
    const at = position * this.geometry.strideBytes;
    if (!this.#open(this.scratch, at, 0, block, entry, plaintext)) throw this.damaged(0, block, "does not verify");
  }

  /** Seals a page of the map and writes it. @returns What holds its tag at {@link tagAt}, until the next call. */
  writePage(level: number, index: number, slot: number, birth: number, epoch: Epoch, page: Buffer): Buffer {
    this.#seal(pageScratch, 0, level, index, slot, birth, epoch, page);
    this.#backing.write(this.geometry.placeOf(slot), pageScratch);
    return pageScratch;
  }

  /** @throws {FsError} EIO when it is not what the parent's entry says. ENOKEY without its generation's key. */
  readPage(level: number, index: number, entry: MapEntry, page: Buffer): void {
    const read = this.#backing.read(this.geometry.placeOf(entry.slot), pageScratch);
    const whole = read === pageScratch.length && pageScratch.readUIntBE(1, 3) === page.length;
    if (!whole || !this.#open(pageScratch, 0, level, index, entry, page))
      throw this.damaged(level, index, "does not verify");
  }

  /** Reports damage. @returns The error to throw. */
  damaged(level: number, index: number, what: string): FsError {
    const thing = level === 0 ? `block ${index}` : `page ${index} of level ${level} of the map`;
    return damage(this.#report, this.#fileId, `${thing} ${what}`);
  }

  #seal(
    into: Buffer,
    at: number,
    level: number,
    index: number,
    slot: number,
    birth: number,
    epoch: Epoch,
    plaintext: Buffer,
  ): void {
    const { length } = plaintext;
    const binding = this.#binding.of(level, index, slot, birth, epoch.generation, length);
    into.writeUInt8(epoch.index, at);
    into.writeUIntBE(length, at + 1, 3);
    this.#epochs.cipherOf(epoch).seal(binding, plaintext, into.subarray(at + sealedAt, at + slotPrefixBytes + length));
    epoch.seals += 1;
  }

  #open(from: Buffer, at: number, level: number, index: number, entry: MapEntry, plaintext: Buffer): boolean {
    const epoch = this.#epochs.at(entry.epoch);
    if (epoch === undefined || from.readUInt8(at) !== entry.epoch || !entry.hasTag(from, at + tagAt)) {
      plaintext.fill(0);
      return false;
    }
    const { length } = plaintext;
    const sealed = from.subarray(at + sealedAt, at + slotPrefixBytes + length);
    const binding = this.#binding.of(level, index, entry.slot, entry.birth, epoch.generation, length);
    return this.#epochs.cipherOf(epoch).open(binding, sealed, plaintext);
  }
}
