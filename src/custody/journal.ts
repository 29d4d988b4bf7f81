import type { Context } from "../crypto/context.ts";
import { chainStart, encodeRecord, nextLink } from "./audit/chain.ts";
import { CustodyError } from "./errors.ts";
import type { AuditRecord, Caller } from "./service.ts";
import type { Authenticator } from "./state/authenticator.ts";
import type { StateChange } from "./state/records.ts";
import { State } from "./state/state.ts";
import type { Store, StoredAuditEntry, StoredHead, StoredRow } from "./store/store.ts";

/** What an operation is about, for its audit record. */
export interface Subject {
  /** `kms:Decrypt`, `strongroom:EnrollNode`, … */
  readonly action: string;
  /** Filled in by the operation as it finds out, so that a refusal names what it was about. */
  key?: string;
  readonly context?: Context;
  detail?: Record<string, string | number>;
}

/** What an operation decided: the answer, and the changes of state that go with it. */
export interface Decision<T> {
  readonly value: T;
  readonly changes?: readonly StateChange[];
}

interface Pending {
  readonly basedOn: number;
  readonly changes: readonly StateChange[];
  record(sequence: number): AuditRecord;
  settle(outcome: "committed" | "stale" | Error): void;
}

export interface JournalOptions {
  /** Unix milliseconds. */
  readonly clock: () => number;
  /** Make a store that was never initialised. */
  readonly create?: boolean;
  /** Told of each commit: how many records shared it, and how long it took, in seconds. */
  readonly onCommit?: (records: number, seconds: number) => void;
}

/** How often a decision is taken anew because the state moved under it, before the caller is told to come back. */
const maxAttempts = 10_000;
/** The most requests that share one commit. */
const maxBatch = 512;
/** Clocks that are set back by more than this are taken to have been wrong before. */
const greatestSetbackMs = 24 * 60 * 60 * 1000;
/** How long a commit may wait for more requests to share it. */
const maxGatherMs = 5;

/**
 * The one way to an answer: decide on the state, then commit the audit record and the changes in one durable transaction,
 * then answer. Requests that wait at the same time share a commit (group commit).
 *
 * A decision holds only if the state is still the one it was taken on when its record is committed; else it is taken anew.
 * So nothing is released on a state that has been superseded by a committed revocation, on any server of the store.
 */
export class Journal {
  readonly state: State;
  readonly #store: Store;
  readonly #authenticator: Authenticator;
  readonly #clock: () => number;
  readonly #onCommit: (records: number, seconds: number) => void;
  #head: StoredHead;
  #waiting: Pending[] = [];
  #flushing = false;
  #failure: CustodyError | undefined;
  #lastCommitFailed: Error | undefined;

  private constructor(
    store: Store,
    authenticator: Authenticator,
    state: State,
    head: StoredHead,
    options: JournalOptions,
  ) {
    this.#store = store;
    this.#authenticator = authenticator;
    this.state = state;
    this.#head = head;
    this.#clock = options.clock;
    this.#onCommit = options.onCommit ?? (() => {});
  }

  /**
   * Loads and checks all state, then opens a new epoch in the store.
   *
   * @throws {CustodyError} `STATE_TAMPERED`, `STORE_UNUSABLE`.
   */
  static async open(store: Store, authenticator: Authenticator, options: JournalOptions): Promise<Journal> {
    const state = new State(authenticator);
    const found = await store.readHead();
    if (found === undefined && !options.create)
      throw new CustodyError("STORE_UNUSABLE", "the store was never initialised");
    if (found !== undefined) checkHead(found, authenticator);
    const before = found ?? emptyHead(state, authenticator);
    state.apply(await store.readRowsAfter(0), before);
    const head = sealHead({ ...before, epoch: before.epoch + 1 }, authenticator);
    if (!(await store.commit(found, { rows: [], audit: [], head })))
      throw new CustodyError("STORE_LOCKED", "another server opened the store at the same moment: try again");
    return new Journal(store, authenticator, state, head, options);
  }

  get head(): StoredHead {
    return this.#head;
  }

  get hashName(): "sha256" | "sm3" {
    return this.#authenticator.hashName;
  }

  /**
   * Now, for expiries: not earlier than the latest time that a committed record has seen, so that a clock that is set back
   * revives nothing. A setback of more than a day means that the clock was wrong *before*: then the present clock holds,
   * or one glitch into the future would expire everything for good.
   */
  nowMs(): number {
    const clockMs = this.#clock();
    const { latestMs } = this.#head;
    return latestMs - clockMs > greatestSetbackMs ? clockMs : Math.max(clockMs, latestMs);
  }

  /** Why no request can be answered at the moment, or undefined. */
  get trouble(): string | undefined {
    return this.#failure?.message ?? this.#lastCommitFailed?.message;
  }

  /** Tries to write the head anew: tells whether a store that failed (disk full) takes records again. */
  async probe(): Promise<boolean> {
    if (this.#failure !== undefined || this.#flushing) return this.#failure === undefined;
    this.#flushing = true;
    try {
      const head = sealHead({ ...this.#head, latestMs: this.nowMs() }, this.#authenticator);
      if (await this.#store.commit(this.#head, { rows: [], audit: [], head })) this.#head = head;
      this.#lastCommitFailed = undefined;
    } catch (cause) {
      this.#lastCommitFailed = cause instanceof Error ? cause : new Error(String(cause));
    } finally {
      void this.#flushAll();
    }
    return this.#lastCommitFailed === undefined;
  }

  /**
   * Runs one operation. `decide` may be called more than once and must not change anything itself; what it returns is
   * dropped (`discard`) when it is not released. A thrown `CustodyError` is recorded as a refusal and thrown on.
   *
   * @throws {CustodyError} What `decide` threw, or `RECORD_NOT_WRITTEN` when no record could be made durable.
   */
  async perform<T>(
    caller: Caller,
    subject: Subject,
    decide: () => Decision<T> | Promise<Decision<T>>,
    discard: (value: T) => void = () => {},
  ): Promise<T> {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      if (this.#failure !== undefined) throw this.#failure;
      const basedOn = this.state.version;
      const decided = await settle(decide);
      const outcome = await this.#enqueue(caller, subject, basedOn, decided);
      if (outcome === "committed") {
        if (decided.error !== undefined) throw decided.error;
        return decided.decision.value;
      }
      if (decided.error === undefined) discard(decided.decision.value);
      if (outcome !== "stale") throw outcome;
    }
    throw new CustodyError("RECORD_NOT_WRITTEN", "the state changes too fast to answer: try again");
  }

  #enqueue<T>(
    caller: Caller,
    subject: Subject,
    basedOn: number,
    decided: Settled<T>,
  ): Promise<"committed" | "stale" | Error> {
    const { error } = decided;
    const changes = error === undefined ? (decided.decision.changes ?? []) : [];
    const result =
      error === undefined ? "done" : error instanceof CustodyError && error.status < 500 ? "refused" : "failed";
    return new Promise((resolve) => {
      this.#waiting.push({
        basedOn,
        changes,
        settle: resolve,
        record: (sequence) => ({
          sequence,
          at: new Date(this.#clock()).toISOString(),
          door: caller.door,
          principal: caller.principal,
          peer: caller.peer,
          action: subject.action,
          key: subject.key ?? null,
          context: subject.context ?? null,
          result,
          error: error === undefined ? null : codeOf(error),
          requestId: caller.requestId,
          detail: subject.detail ?? {},
        }),
      });
      if (!this.#flushing) {
        this.#flushing = true;
        setImmediate(() => void this.#flushAll());
      }
    });
  }

  /** Commits batch after batch until nobody waits. Never throws: each waiting request gets its outcome. */
  async #flushAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#gather();
      const batch = this.#waiting.splice(0, maxBatch);
      const { fresh, stale, change } = this.#prepare(batch);
      try {
        if (fresh.length > 0) {
          const startedMs = performance.now();
          if (await this.#store.commit(this.#head, change)) {
            this.#onCommit(fresh.length, (performance.now() - startedMs) / 1000);
            this.#head = change.head;
            if (change.rows.length > 0) this.state.apply(change.rows, change.head);
          } else {
            await this.#catchUp();
            stale.push(...fresh.splice(0));
          }
        }
        this.#lastCommitFailed = undefined;
        for (const each of fresh) each.settle("committed");
        for (const each of stale) each.settle("stale");
      } catch (cause) {
        if (cause instanceof CustodyError && cause.code === "STATE_TAMPERED") this.#failure = cause;
        const error =
          this.#failure ??
          new CustodyError("RECORD_NOT_WRITTEN", `the audit record could not be written: ${messageOf(cause)}`, cause);
        this.#lastCommitFailed = error;
        for (const each of [...fresh, ...stale]) each.settle(error);
      }
    }
    this.#flushing = false;
  }

  /** Lets requests that are on their way join: waits for as long as each turn of the event loop brings one more. */
  async #gather(): Promise<void> {
    const endMs = performance.now() + maxGatherMs;
    for (let size = 0; size < this.#waiting.length && size < maxBatch && performance.now() < endMs; ) {
      size = this.#waiting.length;
      await new Promise(setImmediate);
    }
  }

  /** Turns the requests whose state still stands into one change of the store; the first that changes state ends it. */
  #prepare(batch: readonly Pending[]): {
    fresh: Pending[];
    stale: Pending[];
    change: { rows: readonly StoredRow[]; audit: StoredAuditEntry[]; head: StoredHead };
  } {
    const fresh: Pending[] = [];
    const stale: Pending[] = [];
    const audit: StoredAuditEntry[] = [];
    let rows: readonly StoredRow[] = [];
    let { sequence, auditHash, stateVersion, stateTag } = this.#head;
    for (const each of batch) {
      if (each.basedOn !== stateVersion) {
        stale.push(each);
        continue;
      }
      if (each.changes.length > 0) {
        const prepared = this.state.prepare(each.changes, this.#head.epoch);
        rows = prepared.rows;
        stateTag = prepared.stateTag;
        stateVersion += 1;
      }
      sequence += 1;
      const body = encodeRecord(each.record(sequence), stateVersion);
      auditHash = nextLink(this.hashName, auditHash, body);
      audit.push({ sequence, body, hash: auditHash, seal: null });
      fresh.push(each);
    }
    const last = audit.at(-1);
    if (last !== undefined)
      audit[audit.length - 1] = { ...last, seal: this.#authenticator.auditSeal(last.sequence, last.hash) };
    const head = sealHead(
      { epoch: this.#head.epoch, stateVersion, stateTag, sequence, auditHash, latestMs: this.nowMs() },
      this.#authenticator,
    );
    return { fresh, stale, change: { rows, audit, head } };
  }

  /** Another server wrote: takes in what it committed. */
  async #catchUp(): Promise<void> {
    const head = await this.#store.readHead();
    if (head === undefined) throw new CustodyError("STATE_TAMPERED", "the store lost its head");
    checkHead(head, this.#authenticator);
    if (head.stateVersion < this.#head.stateVersion || head.sequence < this.#head.sequence)
      throw new CustodyError("STATE_TAMPERED", "the store went back behind what this server has committed");
    this.state.apply(await this.#store.readRowsAfter(this.state.version), head);
    this.#head = head;
  }
}

type Settled<T> = { readonly decision: Decision<T>; readonly error?: never } | { readonly error: Error };

async function settle<T>(decide: () => Decision<T> | Promise<Decision<T>>): Promise<Settled<T>> {
  try {
    return { decision: await decide() };
  } catch (error) {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }
}

function emptyHead(state: State, authenticator: Authenticator): StoredHead {
  return sealHead(
    { epoch: 0, stateVersion: 0, stateTag: state.emptyTag, sequence: 0, auditHash: chainStart, latestMs: 0 },
    authenticator,
  );
}

function sealHead(head: Omit<StoredHead, "mac">, authenticator: Authenticator): StoredHead {
  return { ...head, mac: authenticator.headMac(head) };
}

function checkHead(head: StoredHead, authenticator: Authenticator): void {
  if (Buffer.compare(authenticator.headMac(head), head.mac) !== 0)
    throw new CustodyError(
      "STATE_TAMPERED",
      "the head of the store does not authenticate: altered, or under another root key",
    );
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : "INTERNAL";
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
