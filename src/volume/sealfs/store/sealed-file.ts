import { FsError } from "../fs-error.ts";
import type { StoredFile } from "../stored-file.ts";
import { checkFile } from "./check-file.ts";
import type { Committer } from "./committer.ts";
import type { FileParts } from "./file-parts.ts";
import { headBytes, mostFileBytes } from "./geometry.ts";
import { HeldBlock } from "./held-block.ts";
import { nextData, nextHole } from "./map-search.ts";
import { allocatedBytesOf } from "./read-size.ts";
import { disposeParts } from "./recovery.ts";
import { Resealing } from "./resealing.ts";

/** A head is written at the latest after so many seals, so that a lost session leaves few uncounted. */
const mostSealsBetweenHeads = 2 ** 19;
/** For a block that is wanted in part, of whatever file; wiped after each use. */
const partScratch = Buffer.alloc(2 ** 16);

/** A sealed file's content. Made by `createSealedFile` and `openSealedFile`. */
export class SealedFile implements StoredFile {
  readonly #parts: FileParts;
  readonly #committer: Committer;
  readonly #held: HeldBlock;
  readonly #resealing: Resealing;
  readonly #blockBytes: number;
  #size: number;
  #sealedSinceHead = 0;
  #isClosed = false;

  constructor(parts: FileParts, committer: Committer, size: number) {
    this.#parts = parts;
    this.#committer = committer;
    this.#held = new HeldBlock(parts.access);
    this.#resealing = new Resealing(parts);
    this.#blockBytes = parts.geometry.blockBytes;
    this.#size = size;
  }

  get size(): number {
    return this.#size;
  }

  get allocatedBytes(): number {
    const whole = this.#parts.map.blocks * this.#blockBytes;
    return allocatedBytesOf(this.#size, Math.max(whole, this.#held.changed ? this.#blockBytes : 0));
  }

  read(at: number, into: Buffer): number {
    this.#refuseWhenClosed();
    const length = Math.min(into.length, this.#size - at);
    for (let done = 0; done < length; ) done += this.#readSome(at + done, into, done, length - done);
    this.#parts.map.trim();
    return Math.max(0, length);
  }

  write(at: number, bytes: Buffer): void {
    this.#refuseBeyondLimit(at + bytes.length);
    this.#beforeChange();
    const { access, map } = this.#parts;
    for (let done = 0; done < bytes.length; ) {
      const block = Math.floor((at + done) / this.#blockBytes);
      const offset = at + done - block * this.#blockBytes;
      const left = bytes.length - done;
      if (offset === 0 && left >= this.#blockBytes) {
        const count = access.writeWhole(block, Math.floor(left / this.#blockBytes), bytes, done);
        this.#held.forget(block, block + count);
        this.#sealedSinceHead += count;
        done += count * this.#blockBytes;
        // Before anything that can fail: what the map has must not lie beyond the end.
        this.#size = Math.max(this.#size, at + done);
        map.settle();
      } else {
        const length = Math.min(this.#blockBytes - offset, left);
        this.#held.write(block, offset, bytes, done, length, Math.max(0, this.#size - block * this.#blockBytes));
        this.#sealedSinceHead += 1;
        done += length;
      }
      this.#size = Math.max(this.#size, at + done);
    }
    map.settle();
    if (this.#sealedSinceHead > mostSealsBetweenHeads || this.#committer.isWasteful()) this.commit(false);
  }

  truncate(size: number): void {
    this.#refuseBeyondLimit(size);
    this.#beforeChange();
    if (size < this.#size) this.#cut(size);
    this.#size = size;
    this.#parts.map.settle();
  }

  /** Room can't be set aside where every write goes to a new slot: only the size is changed. */
  allocate(at: number, length: number, keepSize: boolean): void {
    this.#refuseBeyondLimit(at + length);
    this.#beforeChange();
    if (!keepSize) this.#size = Math.max(this.#size, at + length);
  }

  punch(at: number, length: number): void {
    this.#beforeChange();
    const end = Math.min(at + length, this.#size);
    if (at >= end) return;
    const { map } = this.#parts;
    const firstWhole = Math.ceil(at / this.#blockBytes);
    const endWhole = end === this.#size ? Math.ceil(end / this.#blockBytes) : Math.floor(end / this.#blockBytes);
    if (firstWhole > endWhole) this.#zero(at, end);
    else {
      map.verify(firstWhole, endWhole);
      this.#verifyPart(Math.floor(at / this.#blockBytes), at);
      this.#verifyPart(endWhole, end);
      this.#zero(at, firstWhole * this.#blockBytes);
      this.#zero(Math.min(end, endWhole * this.#blockBytes), end);
      this.#held.forget(firstWhole, endWhole);
      map.clear(firstWhole, endWhole);
    }
    map.settle();
  }

  seekData(at: number): number | undefined {
    this.#refuseWhenClosed();
    if (at >= this.#size) return undefined;
    const from = Math.floor(at / this.#blockBytes);
    const held = this.#held.changedBlock ?? -1;
    const sealed = nextData(this.#parts.map, from, this.#blocks());
    const block = held >= from && held < (sealed ?? held + 1) ? held : sealed;
    return block === undefined ? undefined : Math.max(at, block * this.#blockBytes);
  }

  seekHole(at: number): number {
    this.#refuseWhenClosed();
    if (at >= this.#size) throw new FsError("ENXIO", "the place is beyond the end");
    const held = this.#held.changedBlock;
    let block = nextHole(this.#parts.map, Math.floor(at / this.#blockBytes), this.#blocks());
    if (block !== undefined && block === held)
      block = held + 1 < this.#blocks() ? nextHole(this.#parts.map, held + 1, this.#blocks()) : undefined;
    return block === undefined ? this.#size : Math.max(at, block * this.#blockBytes);
  }

  commit(durable: boolean): void {
    this.#refuseWhenClosed();
    this.#commit(durable, false);
  }

  markDurable(): void {
    if (!this.#isClosed) this.#committer.markDurable();
  }

  /** Counts each slot as a whole block, and a head for each generation that one of the two lies under. */
  bytesByGeneration(): ReadonlyMap<number, number> {
    this.#refuseWhenClosed();
    const bytes = new Map<number, number>();
    const add = (generation: number, length: number) => bytes.set(generation, (bytes.get(generation) ?? 0) + length);
    for (const epoch of this.#parts.epochs.inUse)
      if (epoch.slots > 0) add(epoch.generation, epoch.slots * this.#blockBytes);
    for (const generation of this.#committer.headGenerations) add(generation, headBytes);
    return bytes;
  }

  /** Goes on where the last call stopped. When nothing is left, that has been committed durably. */
  reseal(mostBytes: number): number {
    this.#beforeChange();
    this.#flushHeld();
    this.#resealing.run(mostBytes);
    this.#parts.map.settle();
    if (this.#resealing.isDone()) {
      this.#commit(true, this.#hasOlderHead());
      if (this.#hasOlderHead()) this.#committer.replaceOtherHead();
    }
    let left = 0;
    for (const [generation, bytes] of this.bytesByGeneration()) if (this.#resealing.isOlder(generation)) left += bytes;
    return left;
  }

  check(): readonly string[] {
    this.#refuseWhenClosed();
    this.#flushHeld();
    this.#parts.map.flush();
    return checkFile(this.#parts, this.#size);
  }

  close(): void {
    if (this.#isClosed) return;
    try {
      this.#commit(false, false);
    } finally {
      this.#isClosed = true;
      this.#held.dispose();
      disposeParts(this.#parts);
      this.#parts.backing.close();
    }
  }

  #hasOlderHead(): boolean {
    for (const generation of this.#committer.headGenerations) if (this.#resealing.isOlder(generation)) return true;
    return false;
  }

  #commit(durable: boolean, isForced: boolean): void {
    this.#flushHeld();
    this.#committer.commit(this.#size, durable, isForced);
    this.#sealedSinceHead = 0;
  }

  #readSome(at: number, into: Buffer, done: number, left: number): number {
    const block = Math.floor(at / this.#blockBytes);
    const offset = at - block * this.#blockBytes;
    const inBlock = Math.min(this.#blockBytes - offset, left);
    if (this.#held.holds(block) || (inBlock < this.#blockBytes && !this.#held.changed)) {
      this.#held.read(block, offset, into, done, inBlock);
      return inBlock;
    }
    if (offset > 0) {
      const part = partScratch.subarray(0, this.#blockBytes);
      this.#parts.access.readInto(block, part);
      part.copy(into, done, offset, offset + inBlock);
      part.fill(0);
      return inBlock;
    }
    const count = this.#parts.access.readRun(block, this.#neighbours(block, left), into, done, left, partScratch);
    if (count > 0) return Math.min(left, count * this.#blockBytes);
    into.fill(0, done, done + inBlock);
    return inBlock;
  }

  /** How many blocks a read may take from their slots in one go: up to the one that is held. */
  #neighbours(block: number, bytes: number): number {
    const most = Math.ceil(bytes / this.#blockBytes);
    for (let count = 1; count < most; count += 1) if (this.#held.holds(block + count)) return count;
    return most;
  }

  /** Reads all that it needs before it changes anything; to nothing a file can be cut whatever is damaged. */
  #cut(size: number): void {
    const firstGone = Math.ceil(size / this.#blockBytes);
    const lastBlock = Math.floor(size / this.#blockBytes);
    try {
      this.#parts.map.verify(firstGone, this.#blocks());
      this.#verifyPart(lastBlock, size);
    } catch (cause) {
      if (size > 0 || !(cause instanceof FsError) || cause.code !== "EIO") throw cause;
      this.#held.forget(0, this.#blocks());
      this.#parts.map.drop();
      return;
    }
    this.#held.forget(firstGone, this.#blocks());
    if (size % this.#blockBytes !== 0 && this.#isData(lastBlock))
      this.#held.cut(lastBlock, size - lastBlock * this.#blockBytes);
    this.#parts.map.clear(firstGone, this.#blocks());
  }

  /** Reads the block that is changed in part when something begins or ends at a place within it. @throws {FsError} EIO. */
  #verifyPart(block: number, place: number): void {
    if (place % this.#blockBytes === 0 || place >= this.#size || this.#held.holds(block)) return;
    const part = partScratch.subarray(0, this.#blockBytes);
    this.#parts.access.readInto(block, part);
    part.fill(0);
  }

  /** Within one block. */
  #zero(from: number, to: number): void {
    const block = Math.floor(from / this.#blockBytes);
    if (from < to && this.#isData(block)) this.#held.zero(block, from - block * this.#blockBytes, to - from);
  }

  #isData(block: number): boolean {
    return (this.#held.changed && this.#held.holds(block)) || this.#parts.map.find(block) !== undefined;
  }

  #flushHeld(): void {
    if (this.#held.changed) this.#beforeChange();
    this.#held.flush();
  }

  #blocks(): number {
    return Math.ceil(this.#size / this.#blockBytes);
  }

  #beforeChange(): void {
    this.#refuseWhenClosed();
    this.#committer.beforeChange();
  }

  #refuseWhenClosed(): void {
    if (this.#isClosed) throw new FsError("EBADF", "the file is closed");
  }

  #refuseBeyondLimit(size: number): void {
    if (!(size >= 0 && size <= mostFileBytes)) throw new FsError("EFBIG", `a file has up to ${mostFileBytes} bytes`);
  }
}
