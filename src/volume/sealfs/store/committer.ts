import { FsError } from "../fs-error.ts";
import { Bitmap } from "./bitmap.ts";
import type { FileParts } from "./file-parts.ts";
import type { Head } from "./head.ts";
import { type HeadPlaces, HeadWriter } from "./head-writer.ts";
import { visitMap } from "./map-search.ts";
import { SpaceReturn } from "./space-return.ts";

/** A durable head with more fresh slots than this waits for them on the medium, so that no later opening verifies more. */
const mostFreshSlots = 256;
/** The same for a head that is not durable. */
const mostFreshBytes = 2 ** 28;
/** With more room than this that only a durable head frees, or half of what is used, each commit is durable. */
const mostWaitingBytes = 2 ** 26;

/** What was committed without a sync is made durable at the next change after so long. */
const mostUndoableMs = 30_000;

/** Makes a file's state what a later opening finds. */
export class Committer {
  readonly #parts: FileParts;
  readonly #heads: HeadWriter;
  readonly #space: SpaceReturn;
  /** A sync must go before the first change. */
  #isUncertain: boolean;
  /** Something may have changed since the last head. */
  #isChanging = false;
  /** What is left of lost slots must not be taken for damaged ones later: it goes before the first change. */
  #hasLeftover: boolean;

  constructor(parts: FileParts, places: HeadPlaces, head: Head | undefined, isUncertain: boolean, hasLeftover = false) {
    this.#parts = parts;
    this.#heads = new HeadWriter(parts.backing, parts, places, head);
    this.#space = new SpaceReturn(parts.backing, parts.geometry, parts.slots);
    this.#isUncertain = isUncertain;
    this.#hasLeftover = hasLeftover;
  }

  /** Of the zone's key: those that the file's heads are sealed under, the present one and the one before. */
  get headGenerations(): ReadonlySet<number> {
    return this.#heads.generations;
  }

  /**
   * Goes before any change. What was committed long ago, or before a crash, is made durable before a later head may take its
   * place: so a power loss undoes only what is new, even in a file that nobody ever syncs.
   *
   * @throws {FsError} EIO after a sync that failed: what is on the medium is then unknown.
   */
  beforeChange(): void {
    if (this.#parts.health.syncFailed) throw new FsError("EIO", "a sync of this file has failed");
    if (this.#isChanging) return;
    if (this.#isUncertain || this.#heads.undoableMs > mostUndoableMs) {
      this.#sync();
      this.#lastHeadIsDurable();
    }
    if (this.#hasLeftover) {
      this.#parts.backing.truncate(0);
      this.#sync();
      this.#hasLeftover = false;
    }
    this.#isChanging = true;
    if (this.#heads.isDurable) this.#learnFreeSlots();
  }

  /**
   * @param isForced - Writes a head even if nothing was changed.
   * @throws {FsError} ENOSPC, EIO. What was committed before stays; the changes stay in memory.
   */
  commit(size: number, durable: boolean, isForced: boolean): void {
    const { map } = this.#parts;
    const isChanged = isForced || this.#heads.blank || map.changed || size !== this.#heads.size;
    if (!isChanged && (!durable || this.#heads.isDurable)) return;
    this.beforeChange();
    const { births, geometry } = this.#parts;
    map.flush();
    const mustBeDurable = durable || this.isWasteful();
    if (map.fresh > mostFreshSlots && (mustBeDurable || map.fresh * geometry.blockBytes > mostFreshBytes)) {
      this.#sync();
      births.slotsDurable();
      map.durable();
    }
    this.#heads.write(size, mustBeDurable);
    this.#isChanging = false;
    if (mustBeDurable) this.#finish(size);
  }

  /** After a durable commit: nothing is left of the head before it. @throws {FsError} */
  replaceOtherHead(): void {
    if (!this.#heads.isDurable || this.#isChanging) return;
    this.#heads.replaceOther();
  }

  /** The whole store has been synced, so what was committed is on the medium. */
  markDurable(): void {
    if (this.#heads.blank || this.#isChanging || this.#parts.health.syncFailed) return;
    this.#lastHeadIsDurable();
  }

  #lastHeadIsDurable(): void {
    this.#isUncertain = false;
    this.#heads.markDurable();
    this.#parts.births.headDurable();
    this.#parts.map.durable();
  }

  #finish(size: number): void {
    const { births, map, slots } = this.#parts;
    try {
      this.#sync();
    } catch (cause) {
      this.#retract(size);
      throw cause;
    }
    births.headDurable();
    map.durable();
    this.#heads.markDurable();
    this.#prove();
    slots.settle();
    this.#learnFreeSlots();
    this.#space.run();
  }

  /** Where it fails, the next head proves as much. */
  #prove(): void {
    try {
      this.#heads.prove();
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
    }
  }

  /** Nothing may be thought durable that a failed sync left behind. */
  #retract(size: number): void {
    try {
      this.#heads.write(size, false);
    } catch {
      // The sync's own error tells what matters.
    }
  }

  #sync(): void {
    try {
      this.#parts.backing.sync();
    } catch (cause) {
      this.#parts.health.noteSyncFailure();
      throw cause;
    }
  }

  /** Slots that a former session freed are in no list; the map, all of which is durable, tells. */
  #learnFreeSlots(): void {
    const { map, slots } = this.#parts;
    if (slots.unknown <= Math.max(slots.used === 0 ? 0 : 64, slots.used / 4)) return;
    const used = new Bitmap();
    visitMap(map, -1, {
      page: (_level, _index, entry) => used.add(entry.slot),
      block: (_block, entry) => void used.add(entry.slot),
    });
    slots.learn(used);
  }

  /** True when so much room waits for a durable head that one should be written. */
  isWasteful(): boolean {
    const { slots, geometry } = this.#parts;
    const waitingBytes = (slots.waiting + slots.unknown) * geometry.strideBytes;
    return waitingBytes > Math.max(mostWaitingBytes, (slots.used * geometry.strideBytes) / 2);
  }
}
