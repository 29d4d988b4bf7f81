import type { Births } from "./births.ts";
import type { BlockMap } from "./block-map.ts";
import type { Epochs } from "./epochs.ts";
import type { Geometry } from "./geometry.ts";
import { type SlotIo, tagAt } from "./slot-io.ts";
import type { SlotSpace } from "./slot-space.ts";

/** Reads and writes blocks of one file through its map. */
export class BlockAccess {
  readonly geometry: Geometry;
  readonly #io: SlotIo;
  readonly #map: BlockMap;
  readonly #epochs: Epochs;
  readonly #slots: SlotSpace;
  readonly #births: Births;

  constructor(io: SlotIo, map: BlockMap, epochs: Epochs, slots: SlotSpace, births: Births) {
    this.geometry = io.geometry;
    this.#io = io;
    this.#map = map;
    this.#epochs = epochs;
    this.#slots = slots;
    this.#births = births;
  }

  /**
   * Seals whole blocks straight into new slots, neighbours in one write.
   *
   * @param bytes - Holds `count` blocks from `at` on.
   * @returns How many blocks were written, at least one; fewer than wanted also when the next one failed.
   * @throws {FsError} ENOSPC and whatever else the backing file says; the blocks are then what they were.
   */
  writeWhole(firstBlock: number, count: number, bytes: Buffer, at: number): number {
    const { blockBytes } = this.geometry;
    return this.#write(firstBlock, Math.min(count, this.#io.mostAtOnce), bytes, at, blockBytes);
  }

  /** Seals one block of which only the first `length` bytes are not zeros. @throws As {@link writeWhole}. */
  writeShort(block: number, bytes: Buffer, length: number): void {
    this.#write(block, 1, bytes, 0, length);
  }

  /**
   * Reads one block.
   *
   * @param into - As long as a block; zeros follow what the block has.
   * @returns How many bytes the block has, 0 for a hole.
   * @throws {FsError} EIO when it does not verify; `into` is zeroed then.
   */
  readInto(block: number, into: Buffer): number {
    const entry = this.#map.find(block);
    if (entry === undefined) {
      into.fill(0);
      return 0;
    }
    this.#io.read(entry.slot, 1);
    const length = this.#io.lengthAt(0, block);
    this.#io.open(0, block, entry, into.subarray(0, length));
    into.fill(0, length);
    return length;
  }

  /**
   * Reads blocks whose slots are neighbours, in one read, into where they are wanted.
   *
   * @param most - How many blocks from `firstBlock` on are wanted.
   * @param room - How many bytes of `into` from `at` on are theirs; only the last block may be wanted in part.
   * @param partly - As long as a block, wiped afterwards: for a block that has more than is wanted.
   * @returns How many blocks were read; 0 when the first is a hole.
   */
  readRun(firstBlock: number, most: number, into: Buffer, at: number, room: number, partly: Buffer): number {
    const first = this.#map.find(firstBlock)?.slot;
    if (first === undefined) return 0;
    const limit = Math.min(most, this.#io.mostAtOnce);
    let count = 1;
    while (count < limit && this.#map.find(firstBlock + count)?.slot === first + count) count += 1;
    this.#io.read(first, count);
    const { blockBytes } = this.geometry;
    for (let position = 0; position < count; position += 1) {
      const block = firstBlock + position;
      const entry = this.#map.find(block);
      if (entry === undefined) throw this.#io.damaged(0, block, "is gone from the map");
      const start = at + position * blockBytes;
      const wanted = Math.min(blockBytes, room - position * blockBytes);
      const length = this.#io.lengthAt(position, block);
      if (length <= wanted) {
        this.#io.open(position, block, entry, into.subarray(start, start + length));
        if (length < wanted) into.fill(0, start + length, start + wanted);
      } else {
        this.#io.open(position, block, entry, partly.subarray(0, length));
        partly.copy(into, start, 0, wanted);
        partly.fill(0, 0, length);
      }
    }
    return count;
  }

  #write(firstBlock: number, most: number, bytes: Buffer, at: number, length: number): number {
    const { strideBytes, blockBytes } = this.geometry;
    const epoch = this.#epochs.current();
    const count = this.#slots.take(most);
    const first = this.#slots.first;
    const birth = this.#births.now;
    let done = 0;
    try {
      for (let position = 0; position < count; position += 1) {
        const start = at + position * blockBytes;
        const plaintext = bytes.subarray(start, start + length);
        this.#io.seal(position, firstBlock + position, first + position, birth, epoch, plaintext);
      }
      this.#io.write(first, count, length);
      for (; done < count; done += 1)
        this.#map.put(firstBlock + done, epoch, first + done, birth, this.#io.scratch, done * strideBytes + tagAt);
    } catch (cause) {
      this.#slots.putBack(first + done, count - done);
      // Those before are in the map: the caller must know of them.
      if (done === 0) throw cause;
    }
    return done;
  }
}
