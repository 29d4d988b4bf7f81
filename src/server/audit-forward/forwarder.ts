import type { AuditFeed, StoredRecord } from "../../custody/contract/audit.ts";
import { Backoff } from "./backoff.ts";
import type { PositionFile } from "./position-file.ts";
import { type ForwardTarget, RecordRefused } from "./target.ts";

export interface ForwarderOptions {
  readonly feed: AuditFeed;
  readonly target: ForwardTarget;
  readonly position: PositionFile;
  readonly observer: ForwardObserver;
  /** Told in one line of what a person should know. */
  readonly log: (line: string) => void;
  /** More records than this are not kept for a place that takes none: the oldest are given up. @defaultValue 1 000 000 */
  readonly maxBacklogRecords?: number;
  /** From 0 up to 1. @defaultValue `Math.random` */
  readonly random?: () => number;
  /** Waits, or less when the signal says so. @defaultValue a timer */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** What the metrics are made of. */
export interface ForwardObserver {
  sent(target: string, records: number): void;
  failed(target: string): void;
  skipped(target: string, records: number): void;
}

const defaultMaxBacklogRecords = 1_000_000;
const maxBatchRecords = 200;
const maxBatchCharacters = 512 * 1024;
/** A backlog that is too long is cut to this share of the bound, so that a cut lasts. */
const keptShare = 0.9;
/** How many records apart the position is also kept in the state, in case its file is lost. */
const noteEveryRecords = 10_000;

/**
 * Sends the chain's committed records to one place, in order, from its position on. The chain on disk is the queue: no
 * request waits for the place, and nothing is dropped while it is away. Each record is sent at least once; the receiver
 * tells repeats by `sequence`. What is given up is put on record first.
 */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #stop = new AbortController();
  readonly #backoff: Backoff;
  #wake: () => void = () => {};
  #position = 0;
  #notedAt = 0;
  /** Where the last batch began that may be lost, and the last such that was sent again. */
  #lastBatchFrom = 0;
  #repeatedFrom = -1;
  #running: Promise<void> = Promise.resolve();
  #unfollow: () => void = () => {};

  private constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.random ?? Math.random);
  }

  /** Takes up where it ended; a place that is new begins with the next record, and that it does is on record. */
  static async start(options: ForwarderOptions): Promise<Forwarder> {
    const forwarder = new Forwarder(options);
    const { feed, target } = options;
    target.onLost = () => forwarder.#repeat();
    forwarder.#position = await forwarder.#firstPosition();
    forwarder.#notedAt = forwarder.#position;
    forwarder.#lastBatchFrom = forwarder.#position;
    forwarder.#unfollow = feed.follow(() => forwarder.#wake());
    forwarder.#running = forwarder.#run();
    return forwarder;
  }

  /** How many records wait. */
  get lag(): number {
    return Math.max(0, this.#options.feed.sequence - this.#position);
  }

  get label(): string {
    return this.#options.target.label;
  }

  /** Ends at once; what waits is sent after the next start. */
  async close(): Promise<void> {
    this.#unfollow();
    this.#stop.abort();
    this.#wake();
    await this.#running;
    this.#options.target.close();
  }

  async #firstPosition(): Promise<number> {
    const { feed, target, position, log } = this.#options;
    const kept = position.read();
    const noted = feed.forwardedUpTo(target.id);
    if (noted === undefined) {
      const { sequence } = feed;
      await feed.note({ kind: "started", target: target.label, id: target.id, sequence });
      position.write(sequence);
      return sequence;
    }
    if (kept !== undefined && kept <= feed.sequence) return kept;
    log(`audit records go to ${target.label} from record ${noted + 1} on again: its position was lost`);
    return Math.min(noted, feed.sequence);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        if (this.lag === 0) await this.#nextCommit();
        else await this.#forwardSome(signal);
      } catch (error) {
        if (signal.aborted) return;
        await this.#failed(error, signal);
      }
    }
  }

  #nextCommit(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (this.lag > 0 || this.#stop.signal.aborted) resolve();
    });
  }

  async #forwardSome(signal: AbortSignal): Promise<void> {
    const { feed, target, observer, sleep = sleepFor } = this.#options;
    await this.#giveUpTheOldest();
    const from = this.#position;
    const records = batchOf(await feed.read(from, maxBatchRecords));
    const [first] = records;
    if (first === undefined) throw new Error(`record ${from + 1} is missing from the store`);
    if (first.sequence !== from + 1) return await this.#giveUp(first.sequence - 1, "missing from the store");
    let taken: number;
    try {
      taken = await target.send(records, signal);
    } catch (error) {
      if (!(error instanceof RecordRefused)) throw error;
      await this.#giveUp(first.sequence, error.message);
      // That gap is a record too: a place that refuses them all must not have the chain grow as fast as it can.
      return await sleep(this.#backoff.next(), signal);
    }
    this.#lastBatchFrom = from;
    this.#moveTo(records[taken - 1]?.sequence ?? from);
    this.#backoff.reset();
    observer.sent(target.label, taken);
    if (this.#position - this.#notedAt >= noteEveryRecords) {
      await feed.note({ kind: "position", target: target.label, id: target.id, sequence: this.#position });
      this.#notedAt = this.#position;
    }
  }

  #giveUpTheOldest(): Promise<void> {
    const most = this.#options.maxBacklogRecords ?? defaultMaxBacklogRecords;
    if (this.lag <= most) return Promise.resolve();
    return this.#giveUp(this.#options.feed.sequence - Math.floor(most * keptShare), `more than ${most} records waited`);
  }

  /** The gap is on record before it is made. */
  async #giveUp(upTo: number, reason: string): Promise<void> {
    const { feed, target, observer, log } = this.#options;
    const from = this.#position + 1;
    await feed.note({ kind: "gap", target: target.label, id: target.id, from, sequence: upTo, reason });
    observer.skipped(target.label, upTo - from + 1);
    log(`audit records ${from} to ${upTo} were not sent to ${target.label}: ${reason}`);
    this.#moveTo(upTo);
    this.#notedAt = upTo;
  }

  #moveTo(sequence: number): void {
    this.#position = sequence;
    try {
      this.#options.position.write(sequence);
    } catch {
      // A full disk: after a restart, what was sent since the last position that was kept is sent again.
    }
  }

  /** Sends the last batch again, once: the place was lost before it could have confirmed it. */
  #repeat(): void {
    if (this.#stop.signal.aborted || this.#lastBatchFrom <= this.#repeatedFrom) return;
    if (this.#lastBatchFrom >= this.#position) return;
    this.#repeatedFrom = this.#lastBatchFrom;
    this.#moveTo(this.#lastBatchFrom);
    this.#wake();
  }

  async #failed(error: unknown, signal: AbortSignal): Promise<void> {
    const { target, observer, log, sleep = sleepFor } = this.#options;
    observer.failed(target.label);
    const waitMs = this.#backoff.next();
    if (this.#backoff.failures === 1)
      log(`audit records cannot be sent to ${target.label}: ${messageOf(error)}; they wait, and are tried again`);
    await sleep(waitMs, signal);
  }
}

/** As many records as make a message of bounded size; at least one. */
function batchOf(records: readonly StoredRecord[]): readonly StoredRecord[] {
  let characters = 0;
  const end = records.findIndex(({ text }, index) => {
    characters += text.length;
    return index > 0 && characters > maxBatchCharacters;
  });
  return end < 0 ? records : records.slice(0, end);
}

function sleepFor(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}
