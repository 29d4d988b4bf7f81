import type { AuditRecord } from "../service.ts";
import { isKeyUse } from "./event-names.ts";
import { RecentMap } from "./recent-map.ts";
import { systemPrincipal } from "./record-text.ts";

export type NoticeKind = "new-address" | "unusual-hour" | "refusal-burst" | "counter-conflict";

/** Something in the chain that a person would want to know. */
export interface Notice {
  readonly kind: NoticeKind;
  /** The record that gave rise to it. */
  readonly of: number;
  readonly principal: string;
  readonly key: string | null;
  readonly facts: Readonly<Record<string, string | number>>;
}

/** Addresses that are remembered for each principal and key. */
const maxAddresses = 8;
const maxPairs = 4096;
const maxPrincipals = 2048;
/** An hour is usual when it, or one beside it, had a use in so many days. */
const memoryDays = 30;
/** No hour is unusual before a node has been seen on so many days. */
const learningDays = 14;
/** So many refusals of one principal within one minute of the clock are a burst. */
const burstRefusals = 20;
/** So many strangers' refusals in one summary (at most a minute) are one. */
const burstOfStrangers = 100;
/** Of one kind and principal there is one notice an hour, and of all so many. */
const maxAnHour = 60;

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

interface Hours {
  days: number;
  lastDay: number;
  /** For each hour of the day (UTC) the last day it had a use; 0 for none. */
  readonly last: number[];
}

/** What has been learnt, as it is kept between two runs. */
interface Learnt {
  readonly addresses: readonly (readonly [string, readonly string[]])[];
  readonly hours: readonly (readonly [string, Hours])[];
  readonly refusals: readonly (readonly [string, { readonly minute: number; readonly count: number }])[];
  readonly given: readonly (readonly [string, number])[];
  readonly hour: number;
  readonly inHour: number;
  readonly suppressed: number;
}

/**
 * The rules, as a fold over the chain: what they say of a record depends on the records before it and on nothing else, no
 * clock and no randomness. Memory is bounded; what was not seen for longest is forgotten first.
 */
export class NoticeRules {
  readonly #addresses: RecentMap<readonly string[]>;
  readonly #hours: RecentMap<Hours>;
  readonly #refusals: RecentMap<{ readonly minute: number; readonly count: number }>;
  /** The hour of the last notice of each kind and principal. */
  readonly #given: RecentMap<number>;
  #hour: number;
  #inHour: number;
  #suppressed: number;

  /** @param learnt - What {@link save} gave. */
  constructor(learnt?: string) {
    const from: Partial<Learnt> = learnt === undefined ? {} : (JSON.parse(learnt) as Learnt);
    this.#addresses = new RecentMap(maxPairs, from.addresses);
    this.#hours = new RecentMap(maxPrincipals, from.hours);
    this.#refusals = new RecentMap(maxPrincipals, from.refusals);
    this.#given = new RecentMap(maxPrincipals, from.given);
    this.#hour = from.hour ?? 0;
    this.#inHour = from.inHour ?? 0;
    this.#suppressed = from.suppressed ?? 0;
  }

  save(): string {
    const learnt: Learnt = {
      addresses: this.#addresses.entries(),
      hours: this.#hours.entries(),
      refusals: this.#refusals.entries(),
      given: this.#given.entries(),
      hour: this.#hour,
      inHour: this.#inHour,
      suppressed: this.#suppressed,
    };
    return JSON.stringify(learnt);
  }

  /** Takes in the chain's next record. */
  observe(record: AuditRecord): readonly Notice[] {
    if (record.principal === systemPrincipal) return [];
    if (record.result === "refused")
      return [...this.#counterConflict(record), ...this.#refused(record, record.principal, 1, burstRefusals)];
    if (record.action === "strongroom:Refusals")
      return this.#refused(record, "anonymous", Number(record.detail.count), burstOfStrangers);
    if (record.result !== "done" || record.key === null || !isKeyUse(record.action)) return [];
    const byAddress = this.#usedFrom(record, record.key);
    const byHour = record.principal.includes(":node/") ? this.#usedAt(record) : [];
    return byHour.length === 0 ? byAddress : [...byAddress, ...byHour];
  }

  /** The first address is learnt; each further one is worth a notice. */
  #usedFrom(record: AuditRecord, key: string): readonly Notice[] {
    const pair = `${record.principal} ${key}`;
    const known = this.#addresses.get(pair);
    if (known?.[0] === record.peer) return [];
    const others = known?.filter((address) => address !== record.peer) ?? [];
    this.#addresses.set(pair, [record.peer, ...others].slice(0, maxAddresses));
    if (known === undefined || others.length < known.length) return [];
    return this.#give("new-address", record, record.principal, { address: record.peer, before: known[0] ?? "" });
  }

  #usedAt(record: AuditRecord): readonly Notice[] {
    const atMs = Date.parse(record.at);
    const day = Math.floor(atMs / dayMs);
    const hour = Math.floor((atMs % dayMs) / hourMs);
    const seen = this.#hours.get(record.principal);
    if (seen?.last[hour] === day) return [];
    const forgotten = seen === undefined || day - seen.lastDay > memoryDays;
    const hours: Hours = forgotten ? { days: 0, lastDay: 0, last: Array.from({ length: 24 }, () => 0) } : seen;
    const usual = [hour + 23, hour, hour + 1].some((each) => day - (hours.last[each % 24] ?? 0) <= memoryDays);
    const learning = hours.days < learningDays;
    if (day > hours.lastDay) {
      hours.days += 1;
      hours.lastDay = day;
    }
    hours.last[hour] = day;
    this.#hours.set(record.principal, hours);
    return usual || learning ? [] : this.#give("unusual-hour", record, record.principal, { hour });
  }

  #refused(record: AuditRecord, principal: string, count: number, burst: number): readonly Notice[] {
    const minute = Math.floor(Date.parse(record.at) / minuteMs);
    const before = this.#refusals.get(principal);
    const already = before?.minute === minute ? before.count : 0;
    this.#refusals.set(principal, { minute, count: already + count });
    if (already >= burst || already + count < burst) return [];
    const error = record.error === null ? {} : { error: record.error };
    return this.#give("refusal-burst", record, principal, { address: record.peer, count: already + count, ...error });
  }

  /** A counter stands elsewhere than its node believes: its state was put back, or it runs in two places. */
  #counterConflict(record: AuditRecord): readonly Notice[] {
    if (record.error !== "COUNTER_CONFLICT") return [];
    const { counter = "", stands = 0, from = 0, to = 0 } = record.detail;
    return this.#give("counter-conflict", record, record.principal, { counter, stands, from, to });
  }

  /** At most one an hour of a kind for a principal, and sixty in all: notices must not be what fills the disk. */
  #give(kind: NoticeKind, record: AuditRecord, principal: string, facts: Notice["facts"]): readonly Notice[] {
    const hour = Math.floor(Date.parse(record.at) / hourMs);
    if (hour !== this.#hour) {
      this.#hour = hour;
      this.#inHour = 0;
    }
    const name = `${kind} ${principal}`;
    if (this.#given.get(name) === hour || this.#inHour >= maxAnHour) {
      this.#suppressed += 1;
      return [];
    }
    this.#given.set(name, hour);
    this.#inHour += 1;
    const suppressed = this.#suppressed === 0 ? {} : { suppressed: this.#suppressed };
    this.#suppressed = 0;
    return [{ kind, of: record.sequence, principal, key: record.key, facts: { ...facts, ...suppressed } }];
  }
}
