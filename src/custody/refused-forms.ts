import { CustodyError } from "./errors.ts";
import type { Journal } from "./journal.ts";
import type { Refusals } from "./refusals.ts";
import type { Caller } from "./service.ts";

const recordEveryMs = 1000;

/**
 * Requests of known callers that a door refuses for their form, before any operation decides: on record under the caller's
 * own name, once a second for each principal; the rest is counted, so that a caller gone wild cannot fill the disk.
 */
export class RefusedForms {
  readonly #journal: Journal;
  readonly #refusals: Refusals;
  readonly #recordedLastMs = new Map<string, number>();

  constructor(journal: Journal, refusals: Refusals) {
    this.#journal = journal;
    this.#refusals = refusals;
  }

  /** @throws {CustodyError} `RECORD_NOT_WRITTEN`. */
  async record(caller: Caller, action: string, code: string): Promise<void> {
    const nowMs = performance.now();
    const lastMs = this.#recordedLastMs.get(caller.principal) ?? Number.NEGATIVE_INFINITY;
    if (nowMs - lastMs < recordEveryMs)
      return this.#refusals.count(caller.door, caller.peer, `${code} of a known principal`);
    this.#recordedLastMs.set(caller.principal, nowMs);
    const refusal = new CustodyError("INPUT_INVALID");
    const refuse = () => {
      throw refusal;
    };
    await this.#journal.perform(caller, { action, detail: { code } }, refuse).catch((error: unknown) => {
      if (error !== refusal) throw error;
    });
  }
}
