import type { Geometry } from "./geometry.ts";
import type { MapEntry } from "./map-entry.ts";
import { SpareMemory } from "./spare-memory.ts";

const spareRoots = new SpareMemory();
/** Of a map that was disposed of. */
const noEntries = Buffer.alloc(0);

/** The topmost entries of a file's block map: those that lie in its head. */
export class MapRoot {
  readonly #entryBytes: number;
  #entries: Buffer;
  /** No entry from this one on is in use. */
  #end: number;
  /** True when a head written now would hold another root than the last. */
  changed = false;

  /** @param saved - What {@link used} gave for the head that is opened; undefined for a new file. */
  constructor({ rootEntries, entryBytes }: Geometry, saved: Buffer | undefined) {
    this.#entryBytes = entryBytes;
    this.#entries = spareRoots.take(rootEntries * entryBytes);
    saved?.copy(this.#entries);
    this.#end = (saved?.length ?? 0) / entryBytes;
  }

  /** All entries, in use or not. */
  get entries(): Buffer {
    return this.#entries;
  }

  /** The entry at this position is in use. */
  use(position: number): void {
    this.#end = Math.max(this.#end, position + 1);
  }

  /** The entries up to the last that is in use. @param entry - Is moved about. */
  used(entry: MapEntry): Buffer {
    let end = this.#end;
    while (end > 0 && entry.moveTo(this.#entries, end - 1).slot === 0) end -= 1;
    return this.#entries.subarray(0, end * this.#entryBytes);
  }

  /** Leaves no entry in use. */
  empty(): void {
    this.#entries.fill(0);
    this.#end = 0;
    this.changed = true;
  }

  [Symbol.dispose](): void {
    this.#entries.fill(0);
    if (this.#entries.length > 0) spareRoots.giveBack(this.#entries);
    this.#entries = noEntries;
  }
}
