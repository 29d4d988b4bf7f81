import type { BlockAccess } from "./block-access.ts";
import { SpareMemory } from "./spare-memory.ts";

const spareBlocks = new SpareMemory();

/**
 * One block of a file in memory, as plaintext: the one that was last written or read in part. So many small writes in a row cost
 * one seal, when another block is written or the file is committed.
 */
export class HeldBlock {
  readonly #access: BlockAccess;
  #bytes: Buffer | undefined;
  #block = -1;
  /** What follows is zeros. */
  #length = 0;
  #changed = false;

  constructor(access: BlockAccess) {
    this.#access = access;
  }

  /** True when it differs from what is in the block's slot. */
  get changed(): boolean {
    return this.#changed;
  }

  /** Which block it is, when it was changed. */
  get changedBlock(): number | undefined {
    return this.#changed ? this.#block : undefined;
  }

  holds(block: number): boolean {
    return block === this.#block;
  }

  /** Copies from the block, which is held from now on. */
  read(block: number, offset: number, into: Buffer, at: number, length: number): void {
    this.#hold(block, true).copy(into, at, offset, offset + length);
  }

  /**
   * Changes a part of a block, which is held from now on.
   *
   * @param before - How many bytes of the block lie before the file's end: when all of them are overwritten, none is read.
   */
  write(block: number, offset: number, bytes: Buffer, at: number, length: number, before: number): void {
    const mine = this.#hold(block, offset > 0 || length < before);
    bytes.copy(mine, offset, at, at + length);
    this.#length = Math.max(this.#length, offset + length);
    this.#changed = true;
  }

  /** Puts zeros in a part of a block, which is held from now on. */
  zero(block: number, offset: number, length: number): void {
    this.#hold(block, true).fill(0, offset, offset + length);
    this.#changed = true;
  }

  /** Makes a block end at `length`, which is held from now on. */
  cut(block: number, length: number): void {
    const mine = this.#hold(block, true);
    if (this.#length <= length) return;
    mine.fill(0, length);
    this.#length = length;
    this.#changed = true;
  }

  /** Seals the block when it was changed; it stays held. @throws {FsError} ENOSPC; the block stays changed then. */
  flush(): void {
    if (!this.#changed || this.#bytes === undefined) return;
    this.#access.writeShort(this.#block, this.#bytes, this.#length);
    this.#changed = false;
  }

  /** Forgets what was not flushed, if the block is one of these: from `from` up to before `to`. */
  forget(from: number, to: number): void {
    if (this.#block < from || this.#block >= to) return;
    this.#block = -1;
    this.#changed = false;
    this.#bytes?.fill(0, 0, this.#length);
    this.#length = 0;
  }

  /** Wipes and frees the memory. */
  dispose(): void {
    this.forget(this.#block, this.#block + 1);
    if (this.#bytes !== undefined) spareBlocks.giveBack(this.#bytes);
    this.#bytes = undefined;
  }

  #hold(block: number, mustRead: boolean): Buffer {
    this.#bytes ??= spareBlocks.take(this.#access.geometry.blockBytes);
    const bytes = this.#bytes;
    if (this.#block === block) return bytes;
    this.flush();
    this.forget(this.#block, this.#block + 1);
    // Otherwise it is all zeros, as what was held has been wiped.
    if (mustRead) this.#length = this.#access.readInto(block, bytes);
    this.#block = block;
    return bytes;
  }
}
