import { CustodyError } from "./errors.ts";
import type { Journal } from "./journal.ts";
import type { Caller, Door } from "./service.ts";
import { SparseRecords } from "./sparse-records.ts";

const summaryEveryMs = 60_000;
const maxKinds = 64;

/**
 * Refusals of callers nobody knows are counted, not written one by one, so that a flood cannot fill the disk: one summary
 * record for each door and reason, at most once a minute.
 */
export class Refusals {
  readonly #journal: Journal;
  readonly #counts = new Map<string, { door: Door; reason: string; count: number; lastPeer: string }>();
  readonly #ofRevoked = new SparseRecords();
  #timer: NodeJS.Timeout | undefined;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  count(door: Door, peer: string, reason: string): void {
    const name = `${door} ${reason}`;
    const entry = this.#counts.get(name);
    if (entry !== undefined) {
      entry.count += 1;
      entry.lastPeer = peer;
    } else if (this.#counts.size < maxKinds) this.#counts.set(name, { door, reason, count: 1, lastPeer: peer });
    this.#timer ??= setTimeout(() => void this.flush(), summaryEveryMs).unref();
  }

  /**
   * A revoked principal still calls: worth a record of its own, once a second for each principal; the rest is counted.
   *
   * @throws {CustodyError} `RECORD_NOT_WRITTEN`.
   */
  async ofRevoked(caller: Caller, detail: Readonly<Record<string, string>>): Promise<void> {
    const subject = { action: "strongroom:Authenticate", detail };
    const refuse = () => {
      throw new CustodyError("ACCESS_DENIED", `${caller.principal} is revoked`);
    };
    await this.#ofRevoked.take(
      caller.principal,
      () =>
        this.#journal.perform(caller, subject, refuse).catch((error: unknown) => {
          if (!(error instanceof CustodyError) || error.code !== "ACCESS_DENIED") throw error;
        }),
      () => this.count(caller.door, caller.peer, "principal is revoked"),
    );
  }

  /** Writes the summaries that wait. Never throws: a store that takes no record has refused every request already. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const entries = [...this.#counts.values()];
    this.#counts.clear();
    for (const { door, reason, count, lastPeer } of entries) {
      const caller = { principal: "anonymous", door, peer: lastPeer, requestId: "summary" };
      const subject = { action: "strongroom:Refusals", detail: { reason, count } };
      await this.#journal.perform(caller, subject, () => ({ value: undefined })).catch(() => {});
    }
  }
}
