import { randomUUID } from "node:crypto";
import type { Context } from "../crypto/context.ts";
import { RecordEncoder, type RecordPlace } from "./audit/record-text.ts";
import { inTurn, type Pending, prepareBatch, shortContext } from "./commit-batch.ts";
import { CustodyError } from "./errors.ts";
import type { AuditRecord, Caller } from "./service.ts";
import type { Authenticator } from "./state/authenticator.ts";
import { checkHead, emptyHead, sealHead } from "./state/head.ts";
import type { StateChange } from "./state/records.ts";
import { State } from "./state/state.ts";
import type { Store, StoredHead } from "./store/store.ts";

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
/** How much of what a caller's program calls itself goes on record, in characters. */
const maxUserAgentLength = 256;
/** Clocks that are set back by more than this are taken to have been wrong before. */
const greatestSetbackMs = 24 * 60 * 60 * 1000;

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
  /** The head as it was loaded; undefined in a new store. */
  readonly #found: StoredHead | undefined;
  #head: StoredHead;
  #waiting: Pending[] = [];
  #nextTicket = 1;
  #flushing = false;
  #failure: CustodyError | undefined;
  #lastCommitFailed: Error | undefined;
  #encoder: RecordEncoder | undefined;
  readonly #followers = new Set<(records: readonly AuditRecord[]) => void>();

  private constructor(
    store: Store,
    authenticator: Authenticator,
    state: State,
    heads: { readonly head: StoredHead; readonly found: StoredHead | undefined },
    options: JournalOptions,
  ) {
    this.#store = store;
    this.#authenticator = authenticator;
    this.state = state;
    this.#head = heads.head;
    this.#found = heads.found;
    this.#clock = options.clock;
    this.#onCommit = options.onCommit ?? (() => {});
  }

  /**
   * Loads and checks all state. Nothing is written until {@link begin}.
   *
   * @throws {CustodyError} `STATE_TAMPERED`, `STORE_UNUSABLE`.
   */
  static async load(store: Store, authenticator: Authenticator, options: JournalOptions): Promise<Journal> {
    const state = new State(authenticator);
    const found = await store.readHead();
    if (found === undefined && !options.create)
      throw new CustodyError("STORE_UNUSABLE", "the store was never initialised");
    if (found !== undefined) checkHead(found, authenticator);
    const head = found ?? emptyHead(state.emptyTag, authenticator);
    state.apply(await store.readRowsAfter(0), head);
    return new Journal(store, authenticator, state, { head, found }, options);
  }

  /**
   * Opens a new epoch in the store; requests are answered from now on.
   *
   * @throws {CustodyError} `STORE_LOCKED` when another server wrote since the load.
   */
  async begin(): Promise<void> {
    const head = sealHead({ ...this.#head, epoch: this.#head.epoch + 1 }, this.#authenticator);
    if (!(await this.#store.commit(this.#found, { rows: [], audit: [], head })))
      throw new CustodyError("STORE_LOCKED", "another server opened the store at the same moment: try again");
    this.#head = head;
  }

  /** Takes no more requests; waits until those that were taken are answered. */
  async close(): Promise<void> {
    this.#failure ??= new CustodyError("STORE_UNUSABLE", "the key manager is closing");
    while (this.#flushing) await new Promise(setImmediate);
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

  /** Now by this server's clock, as records have it: for ages of what was recorded. Expiries go by {@link nowMs}. */
  clockMs(): number {
    return this.#clock();
  }

  /** Why no request can be answered at the moment, or undefined. */
  get trouble(): string | undefined {
    return this.#failure?.message ?? this.#lastCommitFailed?.message;
  }

  /**
   * Tells of the records of each commit, in order, once they are durable; what another server of the store commits is not
   * told of. The listener must not throw. Returns what ends it.
   */
  follow(listener: (records: readonly AuditRecord[]) => void): () => void {
    this.#followers.add(listener);
    return () => this.#followers.delete(listener);
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
    const ticket = this.#nextTicket++;
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      if (this.#failure !== undefined) throw this.#failure;
      const basedOn = this.state.version;
      const decided = await settle(decide);
      const outcome = await this.#enqueue(caller, subject, { ticket, basedOn }, decided);
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
    place: Pick<Pending, "ticket" | "basedOn">,
    decided: Settled<T>,
  ): Promise<"committed" | "stale" | Error> {
    if (this.#failure !== undefined) return Promise.resolve(this.#failure);
    const { error } = decided;
    const changes = error === undefined ? (decided.decision.changes ?? []) : [];
    const result =
      error === undefined ? "done" : error instanceof CustodyError && error.status < 500 ? "refused" : "failed";
    return new Promise((resolve) => {
      this.#waiting.push({
        ...place,
        changes,
        settle: resolve,
        record: (sequence) => ({
          sequence,
          eventId: randomUUID(),
          at: isoTime(this.#clock()),
          door: caller.door,
          principal: caller.principal,
          accessKeyId: caller.accessKeyId ?? null,
          peer: caller.peer,
          userAgent: caller.userAgent?.slice(0, maxUserAgentLength) ?? null,
          action: subject.action,
          key: subject.key ?? null,
          context: result === "done" ? (subject.context ?? null) : shortContext(subject.context),
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
      this.#waiting.sort(inTurn);
      const batch = this.#waiting.splice(0, maxBatch);
      try {
        const { fresh, stale } = await this.#commitBatch(batch);
        this.#lastCommitFailed = undefined;
        for (const each of fresh) each.settle("committed");
        for (const each of stale) each.settle("stale");
      } catch (cause) {
        if (cause instanceof CustodyError && cause.code === "STATE_TAMPERED") this.#failure = cause;
        const error =
          this.#failure ??
          new CustodyError("RECORD_NOT_WRITTEN", `the audit record could not be written: ${messageOf(cause)}`, cause);
        this.#lastCommitFailed = error;
        for (const each of batch) each.settle(error);
      }
    }
    this.#flushing = false;
  }

  async #commitBatch(batch: readonly Pending[]): Promise<{ fresh: readonly Pending[]; stale: readonly Pending[] }> {
    const { fresh, stale, records, change } = prepareBatch(batch, {
      head: this.#head,
      state: this.state,
      authenticator: this.#authenticator,
      encoder: this.#encoderFor(batch),
      nowMs: this.nowMs(),
    });
    if (fresh.length === 0) return { fresh, stale };
    const startedMs = performance.now();
    if (!(await this.#store.commit(this.#head, change))) {
      await this.#catchUp();
      return { fresh: [], stale: batch };
    }
    this.#onCommit(fresh.length, (performance.now() - startedMs) / 1000);
    this.#head = change.head;
    if (change.rows.length > 0) this.state.apply(change.rows, change.head);
    for (const tell of this.#followers) tell(records);
    return { fresh, stale };
  }

  /** The account and region are drawn by the first operation of all, whose record names them too. */
  #encoderFor(batch: readonly Pending[]): RecordEncoder {
    if (this.#encoder !== undefined) return this.#encoder;
    const stored = this.state.get("public", identityRow);
    if (stored !== undefined) {
      this.#encoder = new RecordEncoder(placeOf(stored));
      return this.#encoder;
    }
    const drawn = batch
      .flatMap(({ changes }) => changes)
      .find((each) => each.kind === "public" && each.id === identityRow);
    return new RecordEncoder(drawn?.record == null ? nowhere : placeOf(drawn.record as { value: string }));
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

/** The row that holds the key manager's account and region (see custody.ts). */
const identityRow = "identity";
const nowhere: RecordPlace = { account: "000000000000", region: "local" };

function placeOf({ value }: { readonly value: string }): RecordPlace {
  return JSON.parse(Buffer.from(value, "base64").toString()) as RecordPlace;
}

type Settled<T> = { readonly decision: Decision<T>; readonly error?: never } | { readonly error: Error };

async function settle<T>(decide: () => Decision<T> | Promise<Decision<T>>): Promise<Settled<T>> {
  try {
    return { decision: await decide() };
  } catch (error) {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }
}

let lastTime = { ms: 0, text: new Date(0).toISOString() };

/** The records of one commit mostly have the same millisecond. */
function isoTime(ms: number): string {
  if (lastTime.ms !== ms) lastTime = { ms, text: new Date(ms).toISOString() };
  return lastTime.text;
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : "INTERNAL";
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
