import type { AuditRecord } from "../../custody/service.ts";

export const bucketSeconds = 5;
/** A quarter of an hour. */
export const bucketCount = 180;

/** What was committed in one span of {@link bucketSeconds}. */
export interface ActivityBucket {
  /** Begin, Unix seconds. */
  readonly at: number;
  readonly unwraps: number;
  readonly refusals: number;
}

const unwrapActions: ReadonlySet<string> = new Set(["kms:Decrypt", "kms:ReEncryptFrom", "strongroom:LegacyDecrypt"]);

/** Counts of unwraps and refusals of the last quarter of an hour, taken from records once they are committed. */
export class Activity {
  readonly #nowMs: () => number;
  readonly #buckets: { at: number; unwraps: number; refusals: number }[] = [];
  #latestSequence = 0;

  /** @param nowMs - Unix milliseconds. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Takes in records that were just committed, in order. */
  count(records: readonly AuditRecord[]): void {
    const bucket = this.#current();
    for (const record of records) {
      this.#latestSequence = Math.max(this.#latestSequence, record.sequence);
      if (record.result === "refused") bucket.refusals += 1;
      // Refusals of callers nobody knows come summed up in one record.
      else if (record.action === "strongroom:Refusals") bucket.refusals += Number(record.detail.count ?? 0);
      else if (record.result === "done" && unwrapActions.has(record.action)) bucket.unwraps += 1;
    }
  }

  /** Sequence of the newest record that was seen; 0 before the first. */
  get latestSequence(): number {
    return this.#latestSequence;
  }

  /** {@link bucketCount} spans up to now, oldest first; quiet ones are there with zeros. */
  recent(): readonly ActivityBucket[] {
    const newest = this.#current().at;
    const byBegin = new Map(this.#buckets.map((each) => [each.at, each]));
    return Array.from({ length: bucketCount }, (_, index) => {
      const at = newest - (bucketCount - 1 - index) * bucketSeconds;
      const { unwraps, refusals } = byBegin.get(at) ?? { unwraps: 0, refusals: 0 };
      return { at, unwraps, refusals };
    });
  }

  #current(): { at: number; unwraps: number; refusals: number } {
    const at = Math.floor(this.#nowMs() / 1000 / bucketSeconds) * bucketSeconds;
    const last = this.#buckets.at(-1);
    // After a clock that was set back, counting goes on in the newest span.
    if (last !== undefined && last.at >= at) return last;
    const bucket = { at, unwraps: 0, refusals: 0 };
    this.#buckets.push(bucket);
    while (this.#buckets.length > bucketCount) this.#buckets.shift();
    return bucket;
  }
}
