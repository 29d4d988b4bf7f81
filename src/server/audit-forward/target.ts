import type { StoredRecord } from "../../custody/contract/audit.ts";

/** A place outside that audit records are sent to. */
export interface ForwardTarget {
  /** 16 hex digits that stay the same as long as the place does. */
  readonly id: string;
  /** What records, logs and metrics call it: no path, no credentials. */
  readonly label: string;
  /**
   * Sends records, the oldest first. Resolves to how many were taken, at least one; rejects when none was, with
   * {@link RecordRefused} when the first can never be.
   */
  send(records: readonly StoredRecord[], signal: AbortSignal): Promise<number>;
  /**
   * Called when what was sent last may not have arrived after all. Only a place that confirms nothing calls it.
   */
  onLost?: () => void;
  close(): void;
}

/** The place will not take this record, however often it is sent. */
export class RecordRefused extends Error {
  override readonly name = "RecordRefused";
}
