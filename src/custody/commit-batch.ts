import { randomUUID } from "node:crypto";
import type { Context } from "../crypto/context.ts";
import { nextLink } from "./audit/chain.ts";
import { type RecordEncoder, systemPrincipal } from "./audit/record-text.ts";
import type { AuditRecord } from "./service.ts";
import type { Authenticator } from "./state/authenticator.ts";
import { sealHead } from "./state/head.ts";
import type { StateChange } from "./state/records.ts";
import type { State } from "./state/state.ts";
import type { StoredAuditEntry, StoredHead, StoredRow } from "./store/store.ts";

/** A decided request that waits for its commit. */
export interface Pending {
  /** When its request came: of several changes the oldest goes first. */
  readonly ticket: number;
  readonly basedOn: number;
  readonly changes: readonly StateChange[];
  record(sequence: number): AuditRecord;
  settle(outcome: "committed" | "stale" | Error): void;
}

/** What a batch builds on. */
export interface BatchBase {
  readonly head: StoredHead;
  readonly state: State;
  readonly authenticator: Authenticator;
  readonly encoder: RecordEncoder;
  /** The journal's time, Unix milliseconds. */
  readonly nowMs: number;
}

/** How much of a refused request's context goes on record, in characters of JSON. */
const maxRefusedContextLength = 1024;

/**
 * Turns the requests whose state still stands into one change of the store. The first that changes state makes all behind
 * it stale: they decide anew.
 */
export function prepareBatch(
  batch: readonly Pending[],
  base: BatchBase,
): {
  fresh: Pending[];
  stale: Pending[];
  /** As they are committed, in order. */
  records: AuditRecord[];
  change: { rows: readonly StoredRow[]; audit: StoredAuditEntry[]; head: StoredHead };
} {
  const fresh: Pending[] = [];
  const stale: Pending[] = [];
  const records: AuditRecord[] = [];
  const audit: StoredAuditEntry[] = [];
  let rows: readonly StoredRow[] = [];
  let { sequence, auditHash, stateVersion, stateTag } = base.head;
  const append = (record: AuditRecord) => {
    sequence = record.sequence;
    const body = base.encoder.encode(record, stateVersion);
    auditHash = nextLink(base.authenticator.hashName, auditHash, body);
    records.push(record);
    audit.push({ sequence, body, hash: auditHash, seal: null });
  };
  const latestMs = base.nowMs;
  if (latestMs < base.head.latestMs) append(clockRecord(sequence + 1, base.head.latestMs, latestMs));
  for (const each of batch) {
    if (each.basedOn !== stateVersion) {
      stale.push(each);
      continue;
    }
    if (each.changes.length > 0) {
      const prepared = base.state.prepare(each.changes, base.head.epoch);
      rows = prepared.rows;
      stateTag = prepared.stateTag;
      stateVersion += 1;
    }
    append(each.record(sequence + 1));
    fresh.push(each);
  }
  const last = audit.at(-1);
  if (last !== undefined)
    audit[audit.length - 1] = { ...last, seal: base.authenticator.auditSeal(last.sequence, last.hash) };
  const head = sealHead(
    { epoch: base.head.epoch, stateVersion, stateTag, sequence, auditHash, latestMs },
    base.authenticator,
  );
  return { fresh, stale, records, change: { rows, audit, head } };
}

/** Requests that change nothing first: a change makes all that is behind it decide anew. Changes by age. */
export function inTurn(left: Pending, right: Pending): number {
  const leftChanges = left.changes.length > 0;
  return leftChanges === right.changes.length > 0 ? left.ticket - right.ticket : leftChanges ? 1 : -1;
}

/** A clock that was set back by more than a day is believed, and that it was is on record. */
function clockRecord(sequence: number, fromMs: number, toMs: number): AuditRecord {
  return {
    sequence,
    eventId: randomUUID(),
    at: new Date(toMs).toISOString(),
    door: "local",
    principal: systemPrincipal,
    accessKeyId: null,
    peer: "local",
    userAgent: null,
    action: "strongroom:ClockSetBack",
    key: null,
    context: null,
    result: "done",
    error: null,
    requestId: "clock",
    detail: { from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() },
  };
}

/** What a refused caller sent as context may be large, and is theirs to choose: only a short one is kept. */
export function shortContext(context: Context | undefined): Context | null {
  if (context === undefined) return null;
  const { length } = JSON.stringify(context);
  return length <= maxRefusedContextLength ? context : { "strongroom:omitted": `${length} characters` };
}
