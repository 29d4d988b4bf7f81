import type { Chain } from "../ledger/genesis.ts";
import { decodePrepared, type PreparedBlock } from "./certificate.ts";
import type { GuardRecord } from "./guard-record.ts";
import type { Phase, VoteSlot } from "./vote.ts";

/**
 * Which slots this replica has used up, before its restart and since. A slot is used from the moment its record is handed to
 * be stored, whatever becomes of the signature: it is never asked for again.
 */
export class GuardBook {
  readonly #chain: Chain;
  readonly #closedHeight: number;
  readonly #heights = new Map<number, { readonly slots: Set<string>; highestView: number; prepared?: PreparedBlock }>();

  /**
   * @param records - What was durable at the restart, in any order.
   * @param closedHeight - Up to this height the records are gone: all of its slots count as used.
   * @throws {LedgerError} `ENCODING_INVALID` when a record's prepared block can't be read.
   */
  constructor(chain: Chain, records: Iterable<GuardRecord>, closedHeight: number = 0) {
    this.#chain = chain;
    this.#closedHeight = closedHeight;
    for (const record of records) this.note(record, record.prepared && decodePrepared(this.#chain, record.prepared));
  }

  isUsed(slot: VoteSlot): boolean {
    if (slot.height <= this.#closedHeight) return true;
    return this.#heights.get(slot.height)?.slots.has(nameOf(slot)) === true;
  }

  /** @param prepared - What the record of a commit carries. */
  note(record: VoteSlot, prepared: PreparedBlock | undefined): void {
    const at = this.#heights.get(record.height) ?? { slots: new Set<string>(), highestView: 0 };
    this.#heights.set(record.height, at);
    at.slots.add(nameOf(record));
    at.highestView = Math.max(at.highestView, record.view);
    if (prepared !== undefined && prepared.certificate.view >= (at.prepared?.certificate.view ?? 0))
      at.prepared = prepared;
  }

  /** The view to take up again at a height; undefined where nothing was voted. */
  highestView(height: number): number | undefined {
    return this.#heights.get(height)?.highestView;
  }

  /** The block that was prepared last at a height. */
  prepared(height: number): PreparedBlock | undefined {
    return this.#heights.get(height)?.prepared;
  }

  forgetBelow(height: number): void {
    for (const known of this.#heights.keys()) if (known < height) this.#heights.delete(known);
  }
}

function nameOf({ view, phase }: { readonly view: number; readonly phase: Phase }): string {
  return `${view} ${phase}`;
}
