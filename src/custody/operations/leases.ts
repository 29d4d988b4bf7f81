import { principalArn } from "../arn.ts";
import { LeaseBook, leaseDetails, releaseAction } from "../audit/lease-book.ts";
import { decodeRecord } from "../audit/read-record.ts";
import {
  type LeaseOperations,
  type LeaseStatement,
  type LeasesInForce,
  launchPattern,
  leaseBounds,
  type NodeLease,
} from "../contract/leases.ts";
import { type Core, performDecided, performOnAccount } from "../core.ts";
import { CustodyError } from "../errors.ts";
import type { AuditRecord, Caller } from "../service.ts";
import type { PrincipalRecord } from "../state/records.ts";
import type { Store } from "../store/store.ts";

/** Of a chain that this server did not follow itself, its last so many records are looked at. */
const maxReadBack = 50_000;
const readAtOnce = 200;

/** Records that are still to be read, both ends included. */
interface Gap {
  readonly from: number;
  readonly to: number;
}

/**
 * Leases, from the audit chain and from nothing else: it is what every server of a store has in common, what outlives a
 * restart, and what an auditor can check. This server's own commits are taken in as they happen; what it did not follow
 * (what was there at its start, what other servers write) is read when someone asks.
 */
export class Leases implements LeaseOperations {
  readonly #core: Core;
  readonly #store: Pick<Store, "readAudit">;
  readonly #book = new LeaseBook();
  #gap: Gap | undefined;
  /** The last record that was taken in or lies in the gap. */
  #last: number;
  /** Time of the first record that was looked at, when there are earlier ones. */
  #since: string | null = null;
  #reading: Promise<void> = Promise.resolve();
  /** The gap could not be read: it is tried again when the list is asked for, not every time that someone looks. */
  #unreadable = false;

  constructor(core: Core, store: Pick<Store, "readAudit">) {
    this.#core = core;
    this.#store = store;
    this.#last = core.journal.head.sequence;
    if (this.#last > 0) this.#gap = { from: 1, to: this.#last };
    core.journal.follow((records) => this.#follow(records));
  }

  async list(caller: Caller): Promise<LeasesInForce> {
    const subject = { action: "strongroom:ListLeases", permission: "strongroom:ListNodes" } as const;
    await performOnAccount(this.#core, caller, subject, () => ({ value: undefined }));
    await this.#readOn();
    return { leases: this.#known(), since: this.#since };
  }

  current(): readonly NodeLease[] {
    // What another server wrote shows a moment later; a chain that is damaged is told of to whoever asks for the list.
    if (this.#gap !== undefined && !this.#unreadable) this.#readOn().catch(() => {});
    return this.#known();
  }

  #known(): readonly NodeLease[] {
    const nowMs = this.#core.journal.clockMs();
    const leases: NodeLease[] = [];
    for (const node of this.#book.names) {
      const lease = this.#book.of(node, nowMs);
      if (lease !== null && this.#core.state.get("principal", node)?.kind === "node") leases.push({ node, lease });
    }
    return leases.sort((a, b) => (a.node < b.node ? -1 : 1));
  }

  async release(caller: Caller, launch: string): Promise<void> {
    checkLaunch(launch);
    const subject = { action: releaseAction, detail: { [leaseDetails.launch]: launch } };
    return performDecided(this.#core, caller, subject, () => {
      if (nodeOf(this.#core, caller)?.state !== "enabled") throw new CustodyError("ACCESS_DENIED");
      return { value: undefined };
    });
  }

  #follow(records: readonly AuditRecord[]): void {
    const first = records[0]?.sequence;
    const last = records.at(-1)?.sequence;
    if (first === undefined || last === undefined) return;
    if (first > this.#last + 1) this.#gap = { from: this.#gap?.from ?? this.#last + 1, to: first - 1 };
    this.#last = Math.max(this.#last, last);
    for (const record of records) this.#book.take(record);
  }

  #readOn(): Promise<void> {
    this.#reading = this.#reading
      .catch(() => {})
      .then(() => this.#fillGap())
      .then(
        () => {
          this.#unreadable = false;
        },
        (error: unknown) => {
          this.#unreadable = true;
          throw error;
        },
      );
    return this.#reading;
  }

  async #fillGap(): Promise<void> {
    const gap = this.#gap;
    if (gap === undefined) return;
    let after = Math.max(gap.from - 1, gap.to - maxReadBack);
    const skipped = after >= gap.from;
    let since: string | null = null;
    while (after < gap.to) {
      const entries = await this.#store.readAudit(after, Math.min(readAtOnce, gap.to - after));
      if (entries.length === 0) break;
      for (const { sequence, body } of entries) {
        after = sequence;
        const first = skipped && since === null;
        if (!first && !LeaseBook.mayConcern(body)) continue;
        const record = decodeRecord(body);
        if (record?.sequence !== sequence)
          throw new CustodyError("STATE_TAMPERED", `audit record ${sequence} is damaged`);
        if (first) since = record.at;
        this.#book.take(record);
      }
    }
    if (since !== null) this.#since = since;
    // Another server may have written meanwhile: what came after this gap stays to be read.
    const now = this.#gap;
    this.#gap = now === undefined || now.to <= gap.to ? undefined : { from: gap.to + 1, to: now.to };
  }
}

/**
 * Checks what a launcher says of its lease, and gives what goes on record of it.
 *
 * @throws {CustodyError} `INPUT_INVALID` for times and ids that are none, and for a caller that is not a node: a lease is
 *   a node's, and always the caller's own.
 */
export function leaseDetail(core: Core, caller: Caller, lease: LeaseStatement): Record<string, number | string> {
  const { minSeconds, maxSeconds } = leaseBounds;
  if (!Number.isInteger(lease.seconds) || lease.seconds < minSeconds || lease.seconds > maxSeconds)
    throw new CustodyError("INPUT_INVALID", `a lease is checked every ${minSeconds} to ${maxSeconds} seconds`);
  checkLaunch(lease.launch);
  if (nodeOf(core, caller) === undefined) throw new CustodyError("INPUT_INVALID", "only a node holds a lease");
  return { [leaseDetails.seconds]: lease.seconds, [leaseDetails.launch]: lease.launch };
}

function checkLaunch(launch: string): void {
  if (!launchPattern.test(launch)) throw new CustodyError("INPUT_INVALID", "a launch is named by a UUID");
}

/** The node that calls; undefined for every other caller. Whether it may is asked of the authorizer, on record. */
export function nodeOf({ state, identity }: Core, { principal }: Caller): PrincipalRecord | undefined {
  const name = principal.slice(principal.lastIndexOf("/") + 1);
  const record = state.get("principal", name);
  return record?.kind === "node" && principalArn(identity, "node", name) === principal ? record : undefined;
}
