import type { BackingFile, FileLayout } from "../stored-file.ts";
import type { Births } from "./births.ts";
import type { BlockMap } from "./block-map.ts";
import type { Epochs } from "./epochs.ts";
import { type Geometry, headBytes, slotsBegin } from "./geometry.ts";
import { encodeHead, type Head } from "./head.ts";
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
}

/** Of a file that was never committed. */
export const noHeads: HeadPlaces = { highestSequence: 0, last: undefined, durable: undefined };

/** What the writer takes from the file's parts. */
export interface HeadSources {
  readonly layout: FileLayout;
  readonly fileId: Buffer;
  readonly session: number;
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
  #generation: number | undefined;
  #durableAtMs: number;

  /** @param head - The last one, undefined for a new file. */
  constructor(backing: BackingFile, sources: HeadSources, places: HeadPlaces, head: Head | undefined) {
    this.#backing = backing;
    this.#sources = sources;
    this.#sequence = places.highestSequence;
    this.#last = places.last;
    this.#durable = places.durable;
    if (head !== undefined) this.#lastSays = head;
    this.#durableAtMs = head?.durableAtMs ?? Date.now();
    this.#generation = head?.epochs.find((epoch) => epoch.index === head.epoch)?.generation;
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

  /** Of the key that the last head is sealed under. */
  get generation(): number | undefined {
    return this.#generation;
  }

  /** Writes a head for what the map says, all of whose pages have been written. */
  write(size: number, durable: boolean): void {
    const { epochs, map, slots, births, geometry, fileId, session } = this.#sources;
    const epoch = epochs.current();
    epoch.seals += 2;
    const root = map.root();
    const sequence = this.#sequence + 1;
    const head: Head = {
      sequence,
      durable,
      baseSequence: this.#durable?.sequence ?? 0,
      session,
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
    if (this.#last === undefined) {
      this.#sequence += 1;
      headScratch.fill(0);
      this.#seal(0, 0, encodeHead(fileId, head, geometry, bodyScratch), sequence);
      const second = encodeHead(fileId, { ...head, sequence: sequence + 1 }, geometry, bodyScratch);
      const end = this.#seal(headBytes, 1, second, sequence + 1);
      this.#backing.write(0, headScratch.subarray(0, headBytes + end));
      this.#last = { place: 1, sequence: this.#sequence };
    } else {
      const place = 1 - (this.#durable ?? this.#last).place;
      const end = this.#seal(0, place, encodeHead(fileId, head, geometry, bodyScratch), sequence);
      this.#backing.write(place * headBytes, headScratch.subarray(0, end));
      this.#last = { place, sequence };
    }
    this.#lastSays = { durable, size };
    this.#generation = epoch.generation;
    map.headWritten();
  }

  /** A sync has come back: the last head is on the medium. */
  markDurable(): void {
    this.#durable = this.#last;
    this.#durableAtMs = Date.now();
  }

  #seal(scratchAt: number, place: number, body: Buffer, sequence: number): number {
    const { layout, fileId, epochs } = this.#sources;
    const epoch = epochs.current();
    const into = headScratch.subarray(scratchAt, scratchAt + headBytes);
    return sealHead(into, place, layout, fileId, epochs.zoneId, epoch, sequence, body, epochs.cipherOf(epoch));
  }
}
