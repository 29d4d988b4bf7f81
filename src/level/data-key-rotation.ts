import { setTimeout as sleep } from "node:timers/promises";
import { asBytes } from "./base-level.ts";
import { LevelError } from "./errors.ts";
import { type Header, headerKey, maxCursorBytes } from "./header.ts";
import { EncryptedKeyNames } from "./key-names.ts";
import { headerOperation } from "./open-store.ts";
import { allEntries } from "./ranges.ts";
import { isCurrent, type ResealParts, resealAfter } from "./reseal.ts";
import type { WriteGate } from "./write-gate.ts";

export interface RotationOptions {
  /** Entries sealed again in one atomic batch; user writes wait while one is under way. @defaultValue `64` */
  readonly batchEntries?: number;
  /** The pace of the whole, so that the store's users keep most of the machine. @defaultValue `10000` */
  readonly maxEntriesPerSecond?: number;
}

export interface RotationProgress {
  readonly phase: "resealing" | "verifying" | "finished";
  readonly fromGeneration: number;
  readonly toGeneration: number;
  /** Entries sealed again since the rotation began, over all openings of the store. */
  readonly resealedEntries: number;
  /** Entries found on the new generation by the verifying pass under way. */
  readonly verifiedEntries: number;
}

export interface RotationParts extends ResealParts {
  readonly gate: WriteGate;
  /** Is told each new header: after it was written, except for a cursor put back to the beginning. */
  readonly onHeader: (header: Header) => void;
}

const defaultBatchEntries = 64;
const defaultEntriesPerSecond = 10_000;

/**
 * A data-key rotation under way in the background. Iterate it (`for await`) for its progress; `finished` settles when a
 * full pass has proved that no entry needs the old data key, or with the error that stopped it.
 */
export class DataKeyRotation implements AsyncIterable<RotationProgress> {
  /**
   * @throws {LevelError} `LEVEL_ROTATION_STOPPED` when the database closes first: the rotation goes on at the next
   *   opening. `LEVEL_CORRUPTION` when some entries don't open: all others are sealed again, the rotation stays unfinished.
   */
  readonly finished: Promise<void>;
  readonly #parts: RotationParts;
  readonly #batchEntries: number;
  readonly #entriesPerSecond: number;
  readonly #stop = new AbortController();
  #header: Header;
  #progress: RotationProgress;
  #changed = Promise.withResolvers<void>();
  #ended = false;

  constructor(header: Header, parts: RotationParts, options: RotationOptions = {}) {
    requireRotationOptions(options);
    this.#batchEntries = options.batchEntries ?? defaultBatchEntries;
    this.#entriesPerSecond = options.maxEntriesPerSecond ?? defaultEntriesPerSecond;
    this.#header = header;
    this.#parts = parts;
    const [from, to] = header.generations;
    if (from === undefined || to === undefined) throw new Error("the header tells of no rotation");
    this.#progress = {
      phase: "resealing",
      fromGeneration: from.number,
      toGeneration: to.number,
      resealedEntries: header.resealedEntries,
      verifiedEntries: 0,
    };
    this.finished = this.#run().finally(() => {
      this.#ended = true;
      this.#changed.resolve();
    });
    // Whoever asks is told; nobody has to ask.
    this.finished.catch(() => {});
  }

  get progress(): RotationProgress {
    return this.#progress;
  }

  /** Ends the background work at a batch boundary and waits for it. The header keeps how far it came. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.finished.catch(() => {});
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RotationProgress, void, undefined> {
    let told: RotationProgress | undefined;
    for (;;) {
      const { promise } = this.#changed;
      if (told !== this.#progress) {
        told = this.#progress;
        yield told;
      } else if (this.#ended) return await this.finished;
      else await promise;
    }
  }

  async #run(): Promise<void> {
    // The first step waits for the caller to have this object.
    await Promise.resolve();
    for (;;) {
      const refused = await this.#resealPass();
      await this.#flush();
      if (await this.#verifyPass()) break;
      if (refused.length > 0)
        throw new LevelError(
          "LEVEL_CORRUPTION",
          `${refused.length} entries do not open and can't be sealed again, the first is stored key ${refused[0]}; ` +
            "delete or restore them and open the store again",
        );
      this.#setHeader({ ...this.#header, cursor: Buffer.alloc(0) });
    }
    await this.#settle();
  }

  async #resealPass(): Promise<string[]> {
    const { base, gate, keyring } = this.#parts;
    const refused: string[] = [];
    let { cursor } = this.#header;
    for (;;) {
      this.#refuseWhenStopped();
      const startedMs = performance.now();
      const step = await gate.alone(async () => {
        const next = await resealAfter(this.#parts, cursor, this.#batchEntries);
        if (next.cursor === undefined) return next;
        const header = {
          ...this.#header,
          resealedEntries: this.#header.resealedEntries + next.resealed,
          cursor: next.cursor.length > maxCursorBytes ? Buffer.alloc(0) : next.cursor,
        };
        await base.batch([...next.operations, headerOperation(header, keyring)], asBytes);
        this.#setHeader(header);
        return next;
      });
      refused.push(...step.refused);
      if (step.cursor === undefined) return refused;
      cursor = step.cursor;
      this.#tell({ phase: "resealing", resealedEntries: this.#header.resealedEntries, verifiedEntries: 0 });
      await this.#pace(step.seen, startedMs);
    }
  }

  /** LevelDB writes its memory table out, synced, when asked to compact a range however small: all before is durable. */
  async #flush(): Promise<void> {
    const { base } = this.#parts;
    if (base.supports.additionalMethods.compactRange) await base.compactRange?.(headerKey, headerKey, asBytes);
  }

  /** True when every entry is on the new generation. Writers have used no other since the rotation began. */
  async #verifyPass(): Promise<boolean> {
    const { base, names } = this.#parts;
    const iterator = base.iterator({ ...asBytes, ...allEntries(names) });
    try {
      let verified = 0;
      for (;;) {
        this.#refuseWhenStopped();
        const startedMs = performance.now();
        const entries = await iterator.nextv(this.#batchEntries);
        if (entries.length === 0) return true;
        if (!entries.every(([storedKey, sealed]) => isCurrent(this.#parts, storedKey, sealed))) return false;
        verified += entries.length;
        this.#tell({ phase: "verifying", verifiedEntries: verified });
        await this.#pace(entries.length, startedMs);
      }
    } finally {
      await iterator.close();
    }
  }

  async #settle(): Promise<void> {
    const { base, gate, keyring, names } = this.#parts;
    const header = {
      ...this.#header,
      generations: this.#header.generations.slice(1),
      resealedEntries: 0,
      cursor: Buffer.alloc(0),
    };
    await gate.alone(() => base.batch([headerOperation(header, keyring)], { ...asBytes, sync: true }));
    if (names instanceof EncryptedKeyNames) names.olderGeneration = undefined;
    this.#setHeader(header);
    this.#tell({ phase: "finished" });
  }

  #setHeader(header: Header): void {
    this.#header = header;
    this.#parts.onHeader(header);
  }

  #tell(news: Partial<RotationProgress>): void {
    this.#progress = { ...this.#progress, ...news };
    const told = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    told.resolve();
  }

  /** Waits until the entries just handled fit the pace; at least one turn of the event loop. */
  async #pace(entries: number, startedMs: number): Promise<void> {
    const dueMs = (entries / this.#entriesPerSecond) * 1000 - (performance.now() - startedMs);
    await sleep(Math.max(0, dueMs), undefined, { signal: this.#stop.signal }).catch(() => {});
  }

  #refuseWhenStopped(): void {
    if (this.#stop.signal.aborted) throw new LevelError("LEVEL_ROTATION_STOPPED");
  }
}

/** @throws {RangeError} For a batch that is not a whole number from 1 to 10 000, or a pace under one entry a second. */
export function requireRotationOptions({ batchEntries, maxEntriesPerSecond }: RotationOptions): void {
  if (batchEntries !== undefined && !(Number.isInteger(batchEntries) && batchEntries >= 1 && batchEntries <= 10_000))
    throw new RangeError(`batchEntries must be a whole number from 1 to 10000, got ${batchEntries}`);
  if (maxEntriesPerSecond !== undefined && !(Number.isFinite(maxEntriesPerSecond) && maxEntriesPerSecond >= 1))
    throw new RangeError(`maxEntriesPerSecond must be at least 1, got ${maxEntriesPerSecond}`);
}
