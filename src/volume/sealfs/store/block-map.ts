import type { Births } from "./births.ts";
import type { Epoch, Epochs } from "./epochs.ts";
import type { Geometry } from "./geometry.ts";
import type { Head } from "./head.ts";
import { MapEntry } from "./map-entry.ts";
import { countEntries, type MapPage, MapPages, mostPagesChanged } from "./map-pages.ts";
import { MapRoot } from "./map-root.ts";
import { type SlotIo, tagAt } from "./slot-io.ts";
import type { SlotSpace } from "./slot-space.ts";

/**
 * Which slot each block of a file lies in: a radix tree whose root lies in the head. A node of level 1 has entries of blocks,
 * one of level n + 1 entries of nodes of level n; the root's level is {@link height} + 1. Pages are copied on write, like blocks.
 */
export class BlockMap {
  readonly geometry: Geometry;
  readonly #io: SlotIo;
  readonly #epochs: Epochs;
  readonly #slots: SlotSpace;
  readonly #births: Births;
  readonly #pages = new MapPages();
  readonly #root: MapRoot;
  readonly #found: MapEntry;
  readonly #onTheWay: MapEntry;
  #height: number;
  #blocks: number;
  #pageCount: number;
  #fresh: number;

  constructor(io: SlotIo, epochs: Epochs, slots: SlotSpace, births: Births, head: Head | undefined) {
    this.geometry = io.geometry;
    this.#io = io;
    this.#epochs = epochs;
    this.#slots = slots;
    this.#births = births;
    this.#found = new MapEntry(this.geometry);
    this.#onTheWay = new MapEntry(this.geometry);
    this.#root = new MapRoot(this.geometry, head?.root);
    this.#height = head?.height ?? 0;
    this.#blocks = head?.blocks ?? 0;
    this.#pageCount = head?.pages ?? 0;
    this.#fresh = head?.fresh ?? 0;
  }

  /** Levels of pages below the root. */
  get height(): number {
    return this.#height;
  }

  /** How many blocks are not holes. */
  get blocks(): number {
    return this.#blocks;
  }

  /** How many pages have a slot. */
  get pages(): number {
    return this.#pageCount;
  }

  /** How many slots were born after the last durable head. */
  get fresh(): number {
    return this.#fresh;
  }

  /** True when a head written now would differ from the last. */
  get changed(): boolean {
    return this.#root.changed || this.#pages.changedCount > 0;
  }

  /** @returns The block's entry, valid until the next call; undefined for a hole. */
  find(block: number): MapEntry | undefined {
    if (block >= this.#capacity()) return undefined;
    const index = this.#height === 0 ? 0 : Math.floor(block / this.geometry.pageEntries);
    const node = this.node(1, index);
    if (node === undefined) return undefined;
    const entry = this.#found.moveTo(node, block - index * this.geometry.pageEntries);
    return entry.slot === 0 ? undefined : entry;
  }

  /**
   * A block now lies in this slot; the one it lay in is released.
   *
   * @param sealed - Holds the slot's tag at `tagPlace`.
   */
  put(block: number, epoch: Epoch, slot: number, birth: number, sealed: Buffer, tagPlace: number): void {
    while (block >= this.#capacity()) this.#grow();
    const index = this.#height === 0 ? 0 : Math.floor(block / this.geometry.pageEntries);
    const page = this.#height === 0 ? undefined : this.#makePage(1, index);
    const entry = this.#found.moveTo(page?.bytes ?? this.#root.entries, block - index * this.geometry.pageEntries);
    if (entry.slot === 0) {
      this.#blocks += 1;
      if (page !== undefined) page.filled += 1;
    }
    this.#refer(entry, epoch, slot, birth, sealed, tagPlace);
    if (page === undefined) this.#root.use(block);
    this.#markChanged(page);
  }

  /** Writes changed pages early, and forgets clean ones, when there are many. Entries that were found are no longer valid. */
  settle(): void {
    if (this.#pages.changedCount > mostPagesChanged) this.flush();
    this.#pages.trim();
  }

  /** Writes all changed pages to new slots, so that the root refers to the whole map. @throws {FsError} ENOSPC. */
  flush(): void {
    for (let level = 1; level <= this.#height; level += 1)
      for (const page of this.#pages.changedOf(level)) this.#writePage(page);
  }

  /** Reads all pages that a {@link clear} of these blocks needs, so that it does not fail half-way. @throws {FsError} EIO. */
  verify(from: number, to: number): void {
    if (this.#blocks > 0 && from < to) this.#verify(this.#height + 1, 0, from, to);
  }

  /** Makes all blocks holes without looking at a page. Which slots they lay in is learned when a head is durable. */
  drop(): void {
    this.#pages.clear();
    this.#root.empty();
    this.#height = 0;
    this.#blocks = 0;
    this.#pageCount = 0;
    this.#fresh = 0;
    for (const epoch of this.#epochs.inUse) epoch.slots = 0;
    this.#slots.forgetUsed();
  }

  /** Makes blocks holes: from `from` up to before `to`. */
  clear(from: number, to: number): void {
    if (this.#blocks === 0 || from >= to) return;
    this.#clear(this.#height + 1, 0, from, to);
    if (this.#blocks === 0) {
      this.#pages.clear();
      this.#height = 0;
    }
    this.#pages.trim();
  }

  /** The root's entries, up to the last that is in use. Only of use after {@link flush}. */
  root(): Buffer {
    return this.#root.used(this.#found);
  }

  headWritten(): void {
    this.#root.changed = false;
  }

  /** All that the map refers to is on the medium. */
  durable(): void {
    this.#fresh = 0;
  }

  /**
   * The entries of a node.
   *
   * @returns Undefined when there is no such node. Pages of level 1 are valid until the next call that may forget pages.
   * @throws {FsError} EIO when it is damaged.
   */
  node(level: number, index: number): Buffer | undefined {
    return level === this.#height + 1 ? this.#root.entries : this.#page(level, index)?.bytes;
  }

  /** How many entries a node of this level has. */
  entriesOf(level: number): number {
    return level === this.#height + 1 ? this.geometry.rootEntries : this.geometry.pageEntries;
  }

  /** True when an entry of a node leads to something, whether it has a slot already or not. */
  leadsOn(level: number, index: number, position: number, entry: MapEntry): boolean {
    if (entry.slot !== 0) return true;
    return level > 1 && this.#pages.find(level - 1, index * this.geometry.pageEntries + position) !== undefined;
  }

  /** Forgets clean pages when there are many. */
  trim(): void {
    this.#pages.trim();
  }

  dispose(): void {
    this.#pages.clear();
    this.#root[Symbol.dispose]();
  }

  #capacity(): number {
    return this.geometry.rootEntries * this.geometry.pageEntries ** this.#height;
  }

  #page(level: number, index: number): MapPage | undefined {
    const known = this.#pages.find(level, index);
    if (known !== undefined) return known;
    const { pageEntries } = this.geometry;
    const isTop = level === this.#height;
    const parentIndex = isTop ? 0 : Math.floor(index / pageEntries);
    const parent = this.node(level + 1, parentIndex);
    if (parent === undefined) return undefined;
    const entry = this.#onTheWay.moveTo(parent, index - parentIndex * pageEntries);
    if (entry.slot === 0) return undefined;
    const page = this.#pages.add(level, index);
    try {
      this.#io.readPage(level, index, entry, page.bytes);
    } catch (cause) {
      this.#pages.drop(page);
      throw cause;
    }
    page.filled = countEntries(page.bytes, pageEntries, this.#onTheWay);
    return page;
  }

  #makePage(level: number, index: number): MapPage {
    const known = this.#page(level, index);
    if (known !== undefined) return known;
    const parent = level === this.#height ? undefined : this.#makePage(level + 1, this.#parentIndex(level, index));
    if (parent !== undefined) parent.filled += 1;
    this.#markChanged(parent);
    const page = this.#pages.add(level, index);
    this.#pages.markChanged(page);
    return page;
  }

  #grow(): void {
    if (this.#blocks > 0) {
      const page = this.#pages.add(this.#height + 1, 0);
      this.#root.entries.copy(page.bytes);
      page.filled = 0;
      for (let position = 0; position < this.geometry.rootEntries; position += 1)
        if (this.leadsOn(this.#height + 1, 0, position, this.#onTheWay.moveTo(this.#root.entries, position)))
          page.filled += 1;
      this.#pages.markChanged(page);
    }
    this.#root.empty();
    this.#height += 1;
  }

  #writePage(page: MapPage): void {
    const epoch = this.#epochs.current();
    this.#slots.take(1);
    const slot = this.#slots.first;
    const birth = this.#births.now;
    try {
      const parent = this.node(page.level + 1, this.#parentIndex(page.level, page.index));
      if (parent === undefined) throw this.#io.damaged(page.level, page.index, "has no parent");
      const sealed = this.#io.writePage(page.level, page.index, slot, birth, epoch, page.bytes);
      const position = page.index - this.#parentIndex(page.level, page.index) * this.geometry.pageEntries;
      const entry = this.#onTheWay.moveTo(parent, position);
      if (entry.slot === 0) this.#pageCount += 1;
      this.#refer(entry, epoch, slot, birth, sealed, tagAt);
      if (page.level === this.#height) this.#root.use(position);
    } catch (cause) {
      this.#slots.putBack(slot, 1);
      throw cause;
    }
    this.#markChanged(this.#parentOf(page.level, page.index));
    this.#pages.markWritten(page);
  }

  #verify(level: number, index: number, from: number, to: number): void {
    if (level === 1) {
      this.node(level, index);
      return;
    }
    const { pageEntries } = this.geometry;
    const span = pageEntries ** (level - 1);
    const base = index * pageEntries * span;
    const entry = new MapEntry(this.geometry);
    const first = Math.max(0, Math.floor((from - base) / span));
    for (let position = first; position < this.entriesOf(level) && base + position * span < to; position += 1) {
      const node = this.node(level, index);
      if (node === undefined) return;
      if (!this.leadsOn(level, index, position, entry.moveTo(node, position))) continue;
      this.#verify(level - 1, index * pageEntries + position, from, to);
      this.#pages.trim();
    }
  }

  #clear(level: number, index: number, from: number, to: number): void {
    const node = this.node(level, index);
    if (node === undefined) return;
    const { pageEntries } = this.geometry;
    const span = pageEntries ** (level - 1);
    const base = index * pageEntries * span;
    const page = level === this.#height + 1 ? undefined : this.#pages.find(level, index);
    const entry = new MapEntry(this.geometry);
    for (
      let position = Math.max(0, Math.floor((from - base) / span));
      position < this.entriesOf(level);
      position += 1
    ) {
      if (base + position * span >= to) return;
      if (!this.leadsOn(level, index, position, entry.moveTo(node, position))) continue;
      const childIndex = index * pageEntries + position;
      if (level > 1) {
        this.#clear(level - 1, childIndex, from, to);
        const child = this.#pages.find(level - 1, childIndex);
        if (child === undefined || child.filled > 0) {
          this.#pages.trim();
          continue;
        }
        this.#pages.drop(child);
        if (entry.slot !== 0) this.#pageCount -= 1;
      } else this.#blocks -= 1;
      this.#vacate(entry);
      if (page !== undefined) page.filled -= 1;
      this.#markChanged(page);
    }
  }

  #refer(entry: MapEntry, epoch: Epoch, slot: number, birth: number, sealed: Buffer, tagPlace: number): void {
    this.#vacate(entry);
    entry.set(epoch.index, slot, birth, sealed, tagPlace);
    epoch.slots += 1;
    if (birth > this.#births.lastDurable) this.#fresh += 1;
  }

  #vacate(entry: MapEntry): void {
    const { slot, birth } = entry;
    if (slot === 0) return;
    const epoch = this.#epochs.at(entry.epoch);
    if (epoch !== undefined) epoch.slots -= 1;
    if (birth > this.#births.lastDurable) this.#fresh -= 1;
    entry.clear();
    this.#slots.release(slot, birth);
  }

  #parentIndex(level: number, index: number): number {
    return level === this.#height ? 0 : Math.floor(index / this.geometry.pageEntries);
  }

  #parentOf(level: number, index: number): MapPage | undefined {
    return level === this.#height ? undefined : this.#page(level + 1, this.#parentIndex(level, index));
  }

  #markChanged(page: MapPage | undefined): void {
    if (page === undefined) this.#root.changed = true;
    else this.#pages.markChanged(page);
  }
}
