import { FsError } from "../fs-error.ts";
import type { Births } from "./births.ts";
import { Bitmap } from "./bitmap.ts";
import { mostSlots } from "./geometry.ts";

/**
 * Which slots of a backing file may be written. A slot that a head on disk may still refer to is not given out again before a
 * later head is durable; one that no head ever referred to is, at another time.
 */
export class SlotSpace {
  readonly #births: Births;
  #highWater: number;
  #used: number;
  /** Free, and written by nobody at the present time. */
  readonly #free = new Bitmap();
  /** Free, but perhaps written at the present time. */
  #unreferenced: number[] = [];
  /** Free as soon as a head is durable. */
  #pending: number[] = [];
  /** No lower slot is free. */
  #hint = 0;
  /** The first slot of the run that {@link take} gave last. */
  first = 0;

  /**
   * @param highWater - The largest slot that was ever given out; slots are numbered from 1.
   * @param used - How many of them the map refers to.
   */
  constructor(births: Births, highWater: number, used: number) {
    this.#births = births;
    this.#highWater = highWater;
    this.#used = used;
  }

  get highWater(): number {
    return this.#highWater;
  }

  get used(): number {
    return this.#used;
  }

  /** Known to be free, and not cut off. */
  get free(): Bitmap {
    return this.#free;
  }

  /** Slots that hold nothing any more and can't be given out before a head is durable, as far as is known. */
  get waiting(): number {
    return this.#pending.length + (this.#births.lastDurable === 0 ? this.#unreferenced.length : 0);
  }

  /** Slots of which an earlier session left open whether they are free. */
  get unknown(): number {
    return this.#highWater - this.#used - this.#free.count - this.#pending.length - this.#unreferenced.length;
  }

  /**
   * Gives out up to `most` neighbouring slots, the first of which is {@link first}.
   *
   * @returns How many, at least one.
   * @throws {FsError} EFBIG when slot numbers are used up.
   */
  take(most: number): number {
    if (this.#free.count === 0) this.#reclaim();
    const slot = this.#free.count === 0 ? undefined : this.#free.next(this.#hint);
    let count = 0;
    if (slot === undefined) {
      if (this.#highWater + most > mostSlots) throw new FsError("EFBIG", "no slot is left");
      this.first = this.#highWater + 1;
      this.#highWater += most;
      count = most;
    } else {
      this.first = slot;
      while (count < most && this.#free.delete(slot + count)) count += 1;
      this.#hint = slot + count;
    }
    this.#used += count;
    return count;
  }

  /** Takes back what {@link take} gave and nothing refers to, perhaps written in part. */
  putBack(first: number, count: number): void {
    this.#used -= count;
    // Before anything is durable a half-written slot must not be written again: a lost one shows by its zeros.
    if (first + count - 1 === this.#highWater && this.#births.lastDurable !== 0) {
      this.#highWater = first - 1;
      this.#births.advance();
      return;
    }
    for (let slot = first; slot < first + count; slot += 1) this.#unreferenced.push(slot);
  }

  /** The map no longer refers to a slot. @param birth - Of what it holds. */
  release(slot: number, birth: number): void {
    if (birth > this.#births.lastHead) this.#unreferenced.push(slot);
    else this.#pending.push(slot);
    this.#used -= 1;
    if (this.#unreferenced.length > 4096) this.#reclaim();
  }

  /** A head is durable that refers to nothing that was released. */
  settle(): void {
    for (const slot of this.#pending) this.#isFree(slot);
    this.#pending = [];
    this.#reclaim();
  }

  /**
   * Learns all free slots, right after {@link settle}.
   *
   * @param used - All slots that the map refers to.
   */
  learn(used: Bitmap): void {
    for (let slot = 1; slot <= this.#highWater; slot += 1) if (!used.has(slot)) this.#isFree(slot);
  }

  /** The map refers to nothing any more, and to what it did is not known. What is free is learned when a head is durable. */
  forgetUsed(): void {
    this.#used = 0;
  }

  /** How many slots at the end are free. */
  freeTail(): number {
    let count = 0;
    while (this.#free.has(this.#highWater - count)) count += 1;
    return count;
  }

  /** Forgets the free slots at the end, which are given out as new ones later. */
  cutTail(): void {
    while (this.#free.delete(this.#highWater)) this.#highWater -= 1;
  }

  /** Before anything is durable, a slot that was lost must show by its zeros, so none is written twice. */
  #reclaim(): void {
    if (this.#unreferenced.length === 0 || this.#births.lastDurable === 0) return;
    this.#births.advance();
    for (const slot of this.#unreferenced) this.#isFree(slot);
    this.#unreferenced = [];
  }

  #isFree(slot: number): void {
    this.#free.add(slot);
    if (slot < this.#hint) this.#hint = slot;
  }
}
