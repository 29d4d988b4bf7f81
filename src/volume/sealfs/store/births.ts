import { kernelRandomBytes } from "../../../crypto/kernel-random.ts";

/**
 * The clock of one file. A slot is sealed with the time of its writing, its birth, which the map's entry holds as well, and no
 * slot is written twice at one time. So whatever else a slot held before, or was left with by a power loss, does not open.
 */
export class Births {
  #now: number;
  #lastHead: number;
  #lastDurable: number;

  /** @param lastHead - The time in the head that was opened, 0 for a new file. */
  constructor(lastHead: number, lastDurable: number) {
    this.#now = lastHead + 1;
    this.#lastHead = lastHead;
    this.#lastDurable = lastDurable;
  }

  /** What is written now is born now. */
  get now(): number {
    return this.#now;
  }

  /** What was born later, no head refers to. */
  get lastHead(): number {
    return this.#lastHead;
  }

  /** What was born later, no durable head refers to. */
  get lastDurable(): number {
    return this.#lastDurable;
  }

  /** Before a slot is written a second time. */
  advance(): void {
    this.#now += 1;
  }

  /**
   * After a stop that may have lost heads: past any time that was used after the last head that is left (at most 2^19 between
   * two heads), by 20 random bits more.
   */
  leap(): void {
    this.#now += 2 ** 20 + (kernelRandomBytes(3).readUIntBE(0, 3) & 0xf_ffff);
  }

  /** A head of this time has been handed to the backing file. */
  headWritten(): void {
    this.#lastHead = this.#now;
    this.#now += 1;
  }

  /** The last head, and all it refers to, is on the medium. */
  headDurable(): void {
    this.#lastDurable = this.#lastHead;
  }

  /** Everything written so far is on the medium, though no head refers to all of it yet. */
  slotsDurable(): void {
    this.#lastDurable = this.#now;
    this.#now += 1;
  }
}
