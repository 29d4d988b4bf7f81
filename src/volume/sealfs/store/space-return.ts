import type { BackingFile } from "../stored-file.ts";
import { Bitmap } from "./bitmap.ts";
import type { Geometry } from "./geometry.ts";
import type { SlotSpace } from "./slot-space.ts";

/** So much free room is kept for what is written next, or an eighth of what is used, if that is more. */
const reserveBytes = 2 ** 18;
/** Only whole units of the file system below are given back. */
const unitBytes = 4096;

/** Gives the room of free slots back to the file system below: those at the end are cut off, others punched. */
export class SpaceReturn {
  readonly #backing: BackingFile;
  readonly #geometry: Geometry;
  readonly #slots: SlotSpace;
  readonly #punched = new Bitmap();

  constructor(backing: BackingFile, geometry: Geometry, slots: SlotSpace) {
    this.#backing = backing;
    this.#geometry = geometry;
    this.#slots = slots;
  }

  /** Right after a durable head, when all slots that are known to be free are referred to by no head that counts. */
  run(): void {
    const { strideBytes } = this.#geometry;
    const reserve = Math.max(reserveBytes, (this.#slots.used * strideBytes) / 8);
    if (this.#slots.used === 0 || this.#slots.freeTail() * strideBytes > reserve) this.#cut();
    if (this.#slots.free.count * strideBytes > reserve) this.#punch();
  }

  #cut(): void {
    this.#slots.cutTail();
    const end = this.#geometry.placeOf(this.#slots.highWater + 1);
    if (this.#backing.size() > end) this.#backing.truncate(end);
  }

  #punch(): void {
    const { free } = this.#slots;
    this.#punched.retain(free);
    for (let first = free.nextNotIn(this.#punched, 0); first !== undefined; ) {
      let end = first;
      while (free.has(end) && this.#punched.add(end)) end += 1;
      // A unit that the run shares with a neighbour that is free as well can go now.
      this.#punchRun(free.has(first - 1) ? first - 1 : first, free.has(end) ? end + 1 : end);
      first = free.nextNotIn(this.#punched, end);
    }
  }

  #punchRun(first: number, end: number): void {
    const from = Math.ceil(this.#geometry.placeOf(first) / unitBytes) * unitBytes;
    const to = Math.floor(this.#geometry.placeOf(end) / unitBytes) * unitBytes;
    if (to > from) this.#backing.punch(from, to - from);
  }
}
