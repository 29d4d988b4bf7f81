import { FsError } from "../fs-error.ts";
import { pageBytes } from "./geometry.ts";
import type { MapEntry } from "./map-entry.ts";

/** More clean pages than this are not kept: 2 MiB. */
export const mostPagesKept = 512;
/** More changed pages than this are written early. */
export const mostPagesChanged = 256;

/** A page of the map in memory. */
export interface MapPage {
  readonly level: number;
  readonly index: number;
  readonly bytes: Buffer;
  /** How many of its entries are in use. */
  filled: number;
  changed: boolean;
  lastUse: number;
}

/** The pages of one file's map that are in memory: the changed ones, and those that were used last. */
export class MapPages {
  readonly #pages = new Map<number, MapPage>();
  #changed = 0;
  #clock = 0;

  /** How many differ from what is in their slot. */
  get changedCount(): number {
    return this.#changed;
  }

  find(level: number, index: number): MapPage | undefined {
    const page = this.#pages.get(keyOf(level, index));
    if (page !== undefined) {
      this.#clock += 1;
      page.lastUse = this.#clock;
    }
    return page;
  }

  /** A page with no entry in use. */
  add(level: number, index: number): MapPage {
    if (index >= 2 ** 44) throw new FsError("EFBIG", "the map has no such page");
    this.#clock += 1;
    const page = { level, index, bytes: Buffer.alloc(pageBytes), filled: 0, changed: false, lastUse: this.#clock };
    this.#pages.set(keyOf(level, index), page);
    return page;
  }

  markChanged(page: MapPage): void {
    if (page.changed) return;
    page.changed = true;
    this.#changed += 1;
  }

  markWritten(page: MapPage): void {
    if (!page.changed) return;
    page.changed = false;
    this.#changed -= 1;
  }

  /** Forgets a page, changed or not. */
  drop(page: MapPage): void {
    this.markWritten(page);
    page.bytes.fill(0);
    this.#pages.delete(keyOf(page.level, page.index));
  }

  /** The changed pages of a level, lowest index first. */
  changedOf(level: number): MapPage[] {
    if (this.#changed === 0) return [];
    const pages: MapPage[] = [];
    for (const page of this.#pages.values()) if (page.changed && page.level === level) pages.push(page);
    return pages.sort((one, other) => one.index - other.index);
  }

  /**
   * Forgets the clean pages of level 1 that were not used for longest, when there are too many. Those above stay: one of them
   * stands for over a hundred of these.
   */
  trim(): void {
    if (this.#pages.size <= mostPagesKept) return;
    const clean = [...this.#pages.values()].filter((page) => !page.changed && page.level === 1);
    clean.sort((one, other) => one.lastUse - other.lastUse);
    for (const page of clean.slice(0, this.#pages.size - mostPagesKept / 2)) this.drop(page);
  }

  clear(): void {
    for (const page of this.#pages.values()) page.bytes.fill(0);
    this.#pages.clear();
    this.#changed = 0;
  }
}

/** Counts the entries of a page that are in use. */
export function countEntries(bytes: Buffer, entries: number, entry: MapEntry): number {
  let filled = 0;
  for (let position = 0; position < entries; position += 1) if (entry.moveTo(bytes, position).slot !== 0) filled += 1;
  return filled;
}

function keyOf(level: number, index: number): number {
  return level * 2 ** 44 + index;
}
