import type { AuditRecord, Caller } from "../service.ts";

/** Which records are wanted: those that fit every member that is given. */
export interface AuditFilter {
  /** ARN, `node/NAME`, `user/NAME`, a name, or the id of an access key. */
  readonly principal?: string;
  /** Id, alias or ARN; of a re-encryption also the key that it goes to. */
  readonly key?: string;
  /** Name of a node: its own requests, and those whose context or details name it. */
  readonly node?: string;
  /** What a use of a key was said to be for: the `purpose` in its context. */
  readonly purpose?: string;
  /** `kms:Decrypt`, or `Decrypt`; a `*` at the end stands for any rest. */
  readonly action?: string;
  /** ISO 8601; records of this moment and later. */
  readonly since?: string;
  /** ISO 8601; records before this moment. */
  readonly until?: string;
  /** Refusals only. */
  readonly denied?: boolean;
}

export interface AuditQuery extends AuditFilter {
  /** Which end of the chain to begin at. @defaultValue `"newest"` */
  readonly order?: "newest" | "oldest";
  /** `next` of the answer before, to go on where it ended. */
  readonly cursor?: number;
  /** At most so many records: 1 to 1000. */
  readonly limit: number;
}

export interface AuditPage {
  /** In the order that was asked for. */
  readonly records: readonly AuditRecord[];
  /** What to ask with for the rest; null when the chain's end was reached. A page may be empty and have a next. */
  readonly next: number | null;
}

/** A record as it is stored: the bytes that the chain is made of. */
export interface StoredRecord {
  readonly sequence: number;
  /** One line of JSON in printable ASCII (docs/formats.md). */
  readonly text: string;
  /** The chain's link up to and including this record, hex. */
  readonly hash: string;
}

/** Where the last report on a node ended. */
export interface ReportPosition {
  readonly node: string;
  /** The last record that was reported on; 0 when there was no report yet. */
  readonly after: number;
  /** When that report was made; null when there was none. */
  readonly reportedAt: string | null;
  /** The chain's last record of this moment: where a report that begins now ends. */
  readonly until: number;
}

export interface AuditSearches {
  search(caller: Caller, query: AuditQuery): Promise<AuditPage>;
  /** Records as they are stored, from `after` (exclusive) on, at most `limit` (1 to 10 000) and about 4 MiB. */
  export(caller: Caller, input: { after: number; limit: number }): Promise<readonly StoredRecord[]>;
  reportPosition(caller: Caller, node: string): Promise<ReportPosition>;
  /** Remembers that a report on the node is complete up to this record. It never moves back. */
  completeReport(caller: Caller, node: string, sequence: number): Promise<void>;
}

/** What befell the forwarding of records to one place outside, for the chain. */
export interface ForwardingEvent {
  readonly kind: "started" | "position" | "gap";
  /** What the place is called in records and metrics: no path, no credentials. */
  readonly target: string;
  /** Names the place in the state: 16 hex digits. */
  readonly id: string;
  /** Every record up to this one has been sent, or (gap) given up. */
  readonly sequence: number;
  /** Of a gap: the first record that was not sent, and why. */
  readonly from?: number;
  readonly reason?: string;
}

/**
 * The chain as the server itself reads it, to send it elsewhere. Reading is not on record: it would feed itself.
 * In process only; no door offers it.
 */
export interface AuditFeed {
  /** The chain's last record. */
  readonly sequence: number;
  read(after: number, limit: number): Promise<readonly StoredRecord[]>;
  /** Calls back after each commit; must not throw. Returns what ends it. */
  follow(listener: () => void): () => void;
  /** Up to which record a place had been sent everything, as the state has it. */
  forwardedUpTo(id: string): number | undefined;
  /** Puts it on record and keeps the position in the state. */
  note(event: ForwardingEvent): Promise<void>;
}
