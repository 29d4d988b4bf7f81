import { CustodyError } from "./errors.ts";
import type { Journal } from "./journal.ts";
import type { Refusals } from "./refusals.ts";
import type { Caller } from "./service.ts";
import { SparseRecords } from "./sparse-records.ts";

/**
 * Requests of known callers that a door refuses for their form, before any operation decides: on record under the caller's
 * own name, once a second for each principal; the rest is counted, so that a caller gone wild cannot fill the disk.
 */
export class RefusedForms {
  readonly #journal: Journal;
  readonly #refusals: Refusals;
  readonly #records = new SparseRecords();

  constructor(journal: Journal, refusals: Refusals) {
    this.#journal = journal;
    this.#refusals = refusals;
  }

  /** @throws {CustodyError} `RECORD_NOT_WRITTEN`. */
  async record(caller: Caller, action: string, code: string): Promise<void> {
    const refusal = new CustodyError("INPUT_INVALID");
    const refuse = () => {
      throw refusal;
    };
    await this.#records.take(
      caller.principal,
      () =>
        this.#journal.perform(caller, { action, detail: { code } }, refuse).catch((error: unknown) => {
          if (error !== refusal) throw error;
        }),
      () => this.#refusals.count(caller.door, caller.peer, `${code} of a known principal`),
    );
  }
}
