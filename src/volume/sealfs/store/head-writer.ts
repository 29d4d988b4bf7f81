import type { BackingFile, FileLayout } from "../stored-file.ts";
import type { Births } from "./births.ts";
import type { BlockMap } from "./block-map.ts";
import type { Epoch, Epochs } from "./epochs.ts";
import { type Geometry, headBytes, slotsBegin } from "./geometry.ts";
import { encodeHead, type Head, putSequence } from "./head.ts";
import type { FileHealth, HeadStamp } from "./head-fate.ts";
import { sealHead } from "./head-seal.ts";
import type { SlotSpace } from "./slot-space.ts";

/** A head that lies in one of the two places, 0 or 1. */
export interface PlacedHead {
  readonly place: number;
  readonly sequence: number;
}

/** Which of the two places hold which heads. */
export interface HeadPlaces {
  /** The largest sequence that was seen, 0 for a new file. */
  readonly highestSequence: number;
  /** Undefined for a new file. */
  readonly last: PlacedHead | undefined;
  /** The head that a power loss leaves whole; undefined when there is none, or nobody knows. */
  readonly durable: PlacedHead | undefined;
  /** Of the zone's key, by place: what the head in it is sealed under, if it is one. */
  readonly generations: readonly (number | undefined)[];
}

/** Of a file that was never committed. */
export const noHeads: HeadPlaces = { highestSequence: 0, last: undefined, durable: undefined, generations: [] };

/** What the writer takes from the file's parts. */
export interface HeadSources {
  readonly layout: FileLayout;
  readonly fileId: Buffer;
  readonly stamp: () => HeadStamp;
  readonly health: FileHealth;
  readonly geometry: Geometry;
  readonly epochs: Epochs;
  readonly slots: SlotSpace;
  readonly births: Births;
  readonly map: BlockMap;
}

const bodyScratch = Buffer.allocUnsafeSlow(headBytes);
const headScratch = Buffer.allocUnsafeSlow(slotsBegin);

/**
 * Writes a file's heads, never over the last durable one. The first head goes to both places, so that a place is blank only as
 * long as nothing was ever durable.
 */
export class HeadWriter {
  readonly #backing: BackingFile;
  readonly #sources: HeadSources;
  #sequence: number;
  #last: PlacedHead | undefined;
  #durable: PlacedHead | undefined;
  #lastSays = { durable: false, size: 0 };
  readonly #generations: (number | undefined)[];
  #durableAtMs: number;
  /** A durable head is there that another one names as its base. */
  #isProven: boolean;

  /** @param head - The last one, undefined for a new file. */
  constructor(backing: BackingFile, sources: HeadSources, places: HeadPlaces, head: Head | undefined) {
    this.#backing = backing;
    this.#sources = sources;
    this.#sequence = places.highestSequence;
    this.#last = places.last;
    this.#durable = places.durable;
    if (head !== undefined) this.#lastSays = head;
    this.#isProven = (head?.baseSequence ?? 0) !== 0;
    this.#durableAtMs = head?.durableAtMs ?? Date.now();
    this.#generations = [...places.generations];
  }

  /** True when no head was ever written. */
  get blank(): boolean {
    return this.#last === undefined;
  }

  /** True when the last head was written to be durable, and a sync has followed. */
  get isDurable(): boolean {
    return this.#lastSays.durable && this.#durable !== undefined && this.#durable.sequence === this.#last?.sequence;
  }

  /** For how long a power loss has been able to undo what was committed since. */
  get undoableMs(): number {
    const isSafe = this.#last === undefined || this.#last.sequence === this.#durable?.sequence;
    return isSafe ? 0 : Math.abs(Date.now() - this.#durableAtMs);
  }

  /** What the last head says the file's size is. */
  get size(): number {
    return this.#lastSays.size;
  }

  /** Of the zone's key: those that the heads in the two places are sealed under. */
  get generations(): ReadonlySet<number> {
    return new Set(this.#generations.filter((generation) => generation !== undefined));
  }

  /** Writes a head for what the map says, all of whose pages have been written. */
  write(size: number, durable: boolean): void {
    const isFirst = this.#last === undefined;
    const written = this.#put(size, durable);
    if (isFirst) this.#sources.health.noteHead();
    this.#last = written;
    this.#lastSays = { durable, size };
  }

  /**
   * Writes the head that proves the last one durable, where no head before it does: by naming it as its base. It counts for
   * nothing else; the next head takes its place.
   */
  prove(): void {
    if (!this.#isProven) this.replaceOther();
  }

  /** Writes such a head in any case, so that what the place held is gone. */
  replaceOther(): void {
    this.#put(this.#lastSays.size, false);
  }

  #put(size: number, durable: boolean): PlacedHead {
    const { epochs, map, slots, births, geometry, fileId, stamp } = this.#sources;
    const epoch = epochs.current();
    epoch.seals += 2;
    const root = map.root();
    const sequence = this.#sequence + 1;
    const { session, round, tableSequence } = stamp();
    const head: Head = {
      sequence,
      durable,
      baseSequence: this.#durable?.sequence ?? 0,
      session,
      round,
      tableSequence,
      durableAtMs: this.#durableAtMs,
      size,
      height: map.height,
      highWater: slots.highWater,
      blocks: map.blocks,
      pages: map.pages,
      birth: births.now,
      baseBirth: births.lastDurable,
      fresh: map.fresh,
      epoch: epoch.index,
      epochs: epochs.inUse,
      root,
    };
    births.headWritten();
    this.#sequence = sequence;
    let written: PlacedHead;
    if (this.#last === undefined) {
      this.#sequence += 1;
      const body = encodeHead(fileId, head, geometry, bodyScratch);
      const end = this.#seal(0, 0, body, sequence, epoch);
      headScratch.fill(0, end, headBytes);
      putSequence(body, sequence + 1);
      this.#seal(headBytes, 1, body, sequence + 1, epoch);
      this.#backing.write(0, headScratch.subarray(0, headBytes + end));
      written = { place: 1, sequence: this.#sequence };
      this.#generations[0] = epoch.generation;
    } else {
      const place = 1 - (this.#durable ?? this.#last).place;
      const end = this.#seal(0, place, encodeHead(fileId, head, geometry, bodyScratch), sequence, epoch);
      this.#backing.write(place * headBytes, headScratch.subarray(0, end));
      written = { place, sequence };
    }
    if (this.#durable !== undefined) this.#isProven = true;
    this.#generations[written.place] = epoch.generation;
    map.headWritten();
    return written;
  }

  /** A sync has come back: the last head is on the medium. */
  markDurable(): void {
    this.#durable = this.#last;
    this.#durableAtMs = Date.now();
  }

  #seal(scratchAt: number, place: number, body: Buffer, sequence: number, epoch: Epoch): number {
    const { layout, fileId, epochs } = this.#sources;
    const into = headScratch.subarray(scratchAt, scratchAt + headBytes);
    return sealHead(into, place, layout, fileId, epochs.zoneId, epoch, sequence, body, epochs.cipherOf(epoch));
  }
}
