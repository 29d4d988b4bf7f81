import type { ResealingProgress } from "../control/control.ts";
import { FsError } from "../fs-error.ts";
import type { VolumeKeys } from "../keys/volume-keys.ts";
import type { Zone } from "../keys/zone.ts";
import type { StoredFile } from "../stored-file.ts";
import { statusOf } from "../system/file-status.ts";
import type { FileContent } from "../tree/file-content.ts";
import type { SealedTree } from "../tree/sealed-tree.ts";
import type { SlicedTasks } from "./sliced-tasks.ts";
import { countZone, noFindings } from "./zone-check.ts";
import { walkZone } from "./zone-walk.ts";

/** Sealed anew in one step. */
const stepBytes = 64 * 1024;
const defaultBytesPerSecond = 32 * 1024 * 1024;
/** After a kill, a large file goes on from its last commit. */
const committedBytes = 4 * 1024 * 1024;
const pausedLookMs = 60_000;

export interface ResealingParts {
  readonly tree: SealedTree;
  readonly keys: VolumeKeys;
  readonly tasks: SlicedTasks;
  /** Told of what stays under an older generation, in words that name no content. */
  readonly report: (what: string) => void;
}

/**
 * Seals anew what lies under older generations of any zone. It keeps no state of its own: what is left to do is what the files
 * themselves say, so it goes on after any end where it was.
 */
export class ResealingJob {
  readonly #parts: ResealingParts;
  readonly #counted = new Map<string, ReadonlyMap<number, number>>();
  #state: "idle" | "counting" | "resealing" = "idle";
  #doneBytes = 0;
  #totalBytes = 0;
  #bytesPerSecond = defaultBytesPerSecond;
  /** A generation was begun since the count. */
  #again = false;
  #holdsFile = false;

  constructor(parts: ResealingParts) {
    this.#parts = parts;
  }

  get progress(): ResealingProgress {
    const state = this.#state !== "idle" && this.#bytesPerSecond === 0 ? "paused" : this.#state;
    const [doneBytes, totalBytes] = [this.#doneBytes, this.#totalBytes];
    return { state, doneBytes, totalBytes, bytesPerSecond: this.#bytesPerSecond };
  }

  /** @param bytesPerSecond - 0 pauses. */
  setRate(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
    this.#parts.tasks.hurry();
  }

  /** Bytes under each generation when they were counted last; undefined when they never were. */
  counted(zoneId: Buffer): ReadonlyMap<number, number> | undefined {
    return this.#counted.get(zoneId.toString("hex"));
  }

  /** Keeps a count that was made for another reason. */
  keepCount(zoneId: Buffer, bytes: ReadonlyMap<number, number>): void {
    this.#counted.set(zoneId.toString("hex"), bytes);
  }

  /** Begins, where something lies under an older generation or may. To be called at the start and after each new generation. */
  begin(): void {
    this.#again = true;
    if (this.#state !== "idle") return;
    this.#state = "counting";
    this.#parts.tasks.add(this.#run(), (error) => {
      this.#state = "idle";
      this.#parts.report(`resealing-stopped: ${error instanceof Error ? error.message : "it failed"}`);
    });
  }

  *#run(): Generator<number | undefined, void> {
    let leftBefore = Number.POSITIVE_INFINITY;
    while (this.#again || this.#totalBytes > 0) {
      if (this.#again) leftBefore = Number.POSITIVE_INFINITY;
      this.#again = false;
      this.#state = "counting";
      const zones = this.#zonesWithOlder();
      let total = 0;
      let damaged = 0;
      for (const zone of zones) {
        const found = noFindings();
        yield* countZone({ ...this.#parts, zone }, found);
        this.keepCount(zone.zoneId, found.bytes);
        total += olderBytes(found.bytes, this.#newest(zone));
        damaged += found.damagedCount;
      }
      this.#doneBytes = 0;
      this.#totalBytes = total;
      if (total === 0 && !this.#again) break;
      if (total >= leftBefore) {
        this.#parts.report(
          `resealing-incomplete: ${total} bytes stay under older generations, ${damaged} files unread`,
        );
        break;
      }
      leftBefore = total;
      this.#state = "resealing";
      for (const zone of zones) yield* this.#resealZone(zone);
    }
    this.#state = "idle";
  }

  *#resealZone(zone: Zone): Generator<number | undefined, void> {
    const { tree, keys } = this.#parts;
    const walk = walkZone({
      tree,
      path: zone.path,
      isOfZone: (path) => keys.table.zoneOf(path).zoneId.equals(zone.zoneId),
      visit: (content) => this.#resealNamed(zone, content),
      damaged: () => {},
    });
    for (const step of walk) {
      yield step;
      // Not before the file is let go: one that is removed meanwhile would stay, in the store and under its generation.
      while (this.#bytesPerSecond === 0 && !this.#holdsFile) yield pausedLookMs;
    }
    const removed = Array.from(tree.openContents()).filter((one) => one.removed && one.zoneId.equals(zone.zoneId));
    for (const { content } of removed) if (content.handles > 0) yield* this.#resealOpen(zone, content);
  }

  *#resealNamed(zone: Zone, content: FileContent): Generator<number | undefined, void> {
    this.#holdsFile = true;
    try {
      // Ours may be the last handle of a file that was removed.
      yield* this.#resealFile(zone, content, () => content.handles > 1 || statusOf(content.file.descriptor).links > 0);
    } finally {
      this.#holdsFile = false;
    }
  }

  *#resealFile(zone: Zone, content: FileContent, isWanted: () => boolean): Generator<number | undefined, void> {
    if (content.file.readOnly) return;
    let left = this.#olderBytesOf(zone, content.stored);
    let sinceCommit = 0;
    while (left > 0 && isWanted()) {
      if (this.#bytesPerSecond === 0) {
        // It comes in the next round.
        this.#again = true;
        return;
      }
      const before = left;
      content.reseal(stepBytes);
      left = this.#olderBytesOf(zone, content.stored);
      if (left >= before) return;
      this.#doneBytes += before - left;
      sinceCommit += before - left;
      if (sinceCommit >= committedBytes) {
        content.commit();
        sinceCommit = 0;
      }
      yield ((before - left) / this.#bytesPerSecond) * 1000;
    }
  }

  /** A file without a name may be closed between two steps. */
  *#resealOpen(zone: Zone, content: FileContent): Generator<number | undefined, void> {
    const steps = this.#resealFile(zone, content, () => content.handles > 0);
    while (content.handles > 0) {
      while (this.#bytesPerSecond === 0) yield pausedLookMs;
      try {
        const step = steps.next();
        if (step.done === true) return;
        yield step.value;
      } catch (error) {
        if (error instanceof FsError) return;
        throw error;
      }
    }
  }

  #olderBytesOf(zone: Zone, stored: StoredFile): number {
    return olderBytes(stored.bytesByGeneration(), this.#newest(zone));
  }

  #newest({ zoneId, highestGeneration }: Zone): number {
    return this.#parts.keys.table.zone(zoneId)?.highestGeneration ?? highestGeneration;
  }

  #zonesWithOlder(): readonly Zone[] {
    return Array.from(this.#parts.keys.table.zones()).filter(({ generations }) => generations.length > 1);
  }
}

function olderBytes(bytes: ReadonlyMap<number, number>, newest: number): number {
  let older = 0;
  for (const [generation, length] of bytes) if (generation < newest) older += length;
  return older;
}
