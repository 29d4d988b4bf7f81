import type { ReplicaEffect, ReplicaEvent, TimerName } from "../consensus/events.ts";
import { decodeGuardRecord, encodeGuardRecord } from "../consensus/guard-record.ts";
import { maxSyncBlocks } from "../consensus/limits.ts";
import { encodeBlocks } from "../consensus/message-encoding.ts";
import { Replica } from "../consensus/replica.ts";
import type { ReplicaSettings } from "../consensus/settings.ts";
import { maxBlockBytes } from "../ledger/block.ts";
import type { Chain } from "../ledger/genesis.ts";
import { Ledger } from "../ledger/ledger.ts";
import type { DigestSigner } from "../ledger/signer.ts";
import type { FinalBlock, Receipt } from "../ledger/types.ts";
import type { ChainStore } from "./chain-store.ts";
import { Deadline } from "./deadline.ts";
import { ChainNodeError } from "./errors.ts";
import type { GuardEntry } from "./guard-format.ts";
import type { Log } from "./log.ts";
import { mayHaveSigned, showsAnotherKey } from "./signing-failure.ts";
import { SigningLog } from "./signing-log.ts";

/** How a replica reaches the other sealers, by their index. */
export interface Outward {
  send(to: number, bytes: Buffer): void;
  sendToAll(bytes: Buffer): void;
  disconnect(peer: number): void;
}

/** What becomes of an entry. `passed`: a block has closed its height before it was written, and it is promised nowhere. */
export type GuardOutcome = "passed" | "stored";

/** What a node has promised, and promises. `ConfirmedGuard` is one. */
export interface VoteGuard {
  readonly entries: readonly GuardEntry[];
  /** Of heights up to this one it may have promised what is not among the entries any more. */
  readonly closedHeight: number;
  /** How many entries were ever added; all of them durable. */
  readonly written: number;
  /** Resolves to `stored` once what the entry names may be signed. */
  store(entry: GuardEntry): Promise<GuardOutcome>;
  /** Of heights whose blocks are durable. */
  forget(upToHeight: number): Promise<void>;
}

export interface ReplicaHostOptions {
  readonly chain: Chain;
  readonly self: number;
  readonly store: ChainStore;
  readonly guard: VoteGuard;
  readonly signer: DigestSigner;
  readonly outward: Outward;
  readonly log: Log;
  readonly settings?: Partial<ReplicaSettings>;
  /** After this, a signature that has not come counts as lost. @defaultValue `10_000` */
  readonly signDeadlineMs?: number;
  /** The node can't go on: what it holds on disk is no longer what it thinks. */
  readonly fatal: (error: Error) => void;
}

/** What becomes of a client's transaction. */
export type Submission =
  | { readonly accepted: true; readonly hash: Buffer }
  | { readonly accepted: false; readonly reason: string; readonly full: boolean };

/** Of one peer's misbehaviours this many are borne before its connection is ended. */
const borneMisbehaviours = 64;
const maxSubmissions = 20_000;

/**
 * Gives a replica its clock, network, disk and device. Effects are performed one after the other: what follows a block waits
 * until the block is on the disk. A vote's signature is asked for only after the guard holds the vote: in its file, and confirmed by the
 * key manager where it keeps the guard's counter.
 */
export class ReplicaHost {
  readonly #options: ReplicaHostOptions;
  readonly #signingLog: SigningLog;
  readonly #replica: Replica;
  readonly #ledger: Ledger;
  readonly #timers = new Map<TimerName, NodeJS.Timeout>();
  readonly #submissions = new Map<number, (answer: Submission) => void>();
  readonly #receiptWaiters = new Map<string, Set<(receipt: Receipt) => void>>();
  readonly #serving = new Set<number>();
  readonly #misbehaviours = new Map<number, number>();
  #nextId = 1;
  #work: Promise<void> = Promise.resolve();
  #stopped = false;
  #halted: string | undefined;

  private constructor(options: ReplicaHostOptions, replica: Replica, ledger: Ledger) {
    this.#options = options;
    this.#signingLog = new SigningLog(options.log);
    this.#replica = replica;
    this.#ledger = ledger;
  }

  /**
   * Restores the ledger from the store and the replica from both the ledger and the guard.
   *
   * @throws {LedgerError} `LEDGER_DAMAGED`, `GUARD_DAMAGED`, `ENCODING_INVALID`.
   */
  static async restore(options: ReplicaHostOptions): Promise<ReplicaHost> {
    const { chain, self, store, guard, log, settings } = options;
    const ledger = await Ledger.restore(chain, store.stored);
    const records = guard.entries
      .filter(({ height }) => height > ledger.height)
      .map(({ record }) => decodeGuardRecord(record));
    const replica = new Replica({
      chain,
      self,
      ledger,
      guard: records,
      closedHeight: guard.closedHeight,
      ...(settings === undefined ? {} : { settings }),
    });
    if (ledger.height < guard.closedHeight)
      log.write(
        "warning",
        `[GUARD]the store ends at height ${ledger.height} and this node has voted up to ${guard.closedHeight}: until it has those blocks from others, it does not vote`,
      );
    return new ReplicaHost(options, replica, ledger);
  }

  start(): void {
    this.#handle({ kind: "start", nowMs: Date.now() });
  }

  get height(): number {
    return this.#options.store.height;
  }

  get view(): number {
    return this.#replica.view;
  }

  /** Transactions that wait for a block. */
  get waiting(): number {
    return this.#replica.waiting;
  }

  /** Why this node signs nothing more; undefined while it does. */
  get halted(): string | undefined {
    return this.#halted;
  }

  /** The contract's value of a key after the last block. */
  get(key: Buffer): Buffer | undefined {
    return this.#ledger.get(key);
  }

  /** A message of a proved sealer. */
  message(from: number, bytes: Buffer): void {
    this.#handle({ kind: "message", from, bytes, nowMs: Date.now() });
  }

  /** A client's transaction, encoded. */
  submit(bytes: Buffer): Promise<Submission> {
    if (this.#submissions.size >= maxSubmissions)
      return Promise.resolve({ accepted: false, reason: "too many transactions wait: try again later", full: true });
    return new Promise((resolve) => {
      const id = this.#nextId++;
      this.#submissions.set(id, resolve);
      this.#handle({ kind: "submit", id, bytes, nowMs: Date.now() });
    });
  }

  /** The receipt of a transaction once a block holds it; undefined when that takes longer. */
  async receipt(hash: Buffer, withinMs: number): Promise<Receipt | undefined> {
    const name = hash.toString("latin1");
    const waiters = this.#receiptWaiters.get(name) ?? new Set();
    this.#receiptWaiters.set(name, waiters);
    using deadline = new Deadline(withinMs);
    let waiter: ((receipt: Receipt) => void) | undefined;
    const coming = new Promise<Receipt>((resolve) => {
      waiter = resolve;
      waiters.add(resolve);
    });
    try {
      // Only after waiting has begun: the block may come in between.
      return (await this.storedReceipt(hash)) ?? (await Promise.race([coming, deadline.passed]));
    } finally {
      if (waiter !== undefined) waiters.delete(waiter);
      if (waiters.size === 0) this.#receiptWaiters.delete(name);
    }
  }

  /** The receipt of a transaction that a block holds. */
  async storedReceipt(hash: Buffer): Promise<Receipt | undefined> {
    const place = await this.#options.store.place(hash);
    return place && (await this.#options.store.receipts(place.height))?.[place.index];
  }

  /** Ends timers and waits for what is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await this.#work;
  }

  #handle(event: ReplicaEvent): void {
    if (this.#stopped) return;
    const effects = this.#replica.handle(event);
    if (effects.length === 0) return;
    this.#work = this.#work.then(async () => {
      for (const effect of effects) if (!this.#stopped) await this.#perform(effect);
    });
    this.#work = this.#work.catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#options.fatal(error instanceof Error ? error : new Error(String(error)));
  }

  /** Resolves when the next effect may be performed. */
  #perform(effect: ReplicaEffect): Promise<void> | undefined {
    const { outward, log } = this.#options;
    switch (effect.kind) {
      case "send":
        if (effect.to === "all") outward.sendToAll(effect.bytes);
        else outward.send(effect.to, effect.bytes);
        return undefined;
      case "guard":
        this.#guard(effect);
        return undefined;
      case "sign":
        void this.#sign(effect.id, effect.digest);
        return undefined;
      case "set-timer":
        this.#setTimer(effect);
        return undefined;
      case "clear-timer":
        clearTimeout(this.#timers.get(effect.name));
        this.#timers.delete(effect.name);
        return undefined;
      case "store-block":
        return this.#store(effect);
      case "serve-blocks":
        void this.#serve(effect).catch((error: Error) => this.#fail(error));
        return undefined;
      case "submitted":
        this.#answer(effect.id, { accepted: true, hash: effect.hash });
        return undefined;
      case "submission-refused":
        this.#answer(effect.id, { accepted: false, reason: effect.reason, full: effect.full });
        return undefined;
      case "misbehaviour":
        this.#bear(effect.peer, effect.reason);
        return undefined;
      case "equivocation": {
        const { sealer, height, view, phase } = effect.evidence.first;
        log.write(
          "error",
          `[CONSENSUS][PBFT]equivocation,sealer=${sealer},height=${height},view=${view},phase=${phase}`,
        );
        return undefined;
      }
      case "entered-view":
        if (effect.view > 0)
          log.write("info", `[CONSENSUS][PBFT]enterView,height=${effect.height},view=${effect.view}`);
        return undefined;
      case "halted":
        this.#halted = effect.reason;
        log.write("error", `[CONSENSUS][PBFT]halted,this node signs nothing more: ${effect.reason}`);
        return undefined;
    }
  }

  #guard({ id, record }: Extract<ReplicaEffect, { kind: "guard" }>): void {
    const { guard, log } = this.#options;
    guard.store({ height: record.height, record: encodeGuardRecord(record) }).then(
      (outcome) => {
        if (outcome === "stored") this.#handle({ kind: "guard-stored", id, nowMs: Date.now() });
      },
      (error: Error) => {
        if (this.#stopped) return;
        this.#handle({ kind: "guard-failed", id, nowMs: Date.now() });
        // A node whose disk fails still follows the chain; one that may not vote any more, or is an older copy, ends.
        if (!(error instanceof ChainNodeError && error.code === "GUARD_UNWRITABLE")) this.#fail(error);
        else log.write("error", `[GUARD]${error.message}`);
      },
    );
  }

  async #sign(id: number, digest: Buffer): Promise<void> {
    const { signer, signDeadlineMs = 10_000 } = this.#options;
    using deadline = new Deadline(signDeadlineMs);
    try {
      const signature = await Promise.race([signer.sign(digest), deadline.passed]);
      if (signature === undefined) throw new Error(`the device did not sign within ${signDeadlineMs} ms`);
      this.#signingLog.succeeded();
      this.#handle({ kind: "signed", id, signature, nowMs: Date.now() });
    } catch (error) {
      this.#signingLog.failed(error);
      if (showsAnotherKey(error)) this.#handle({ kind: "signed-by-another", id, nowMs: Date.now() });
      else this.#handle({ kind: "sign-failed", id, mayHaveSigned: mayHaveSigned(error), nowMs: Date.now() });
    }
  }

  #setTimer({ name, token, delayMs }: Extract<ReplicaEffect, { kind: "set-timer" }>): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.set(
      name,
      setTimeout(() => this.#handle({ kind: "timer", name, token, nowMs: Date.now() }), delayMs),
    );
  }

  async #store({ block, receipts, writes }: Extract<ReplicaEffect, { kind: "store-block" }>): Promise<void> {
    const { store, guard, log } = this.#options;
    await store.add(block, receipts, writes, guard.written);
    log.write("info", reportLine(block));
    guard.forget(block.header.height).catch((error: Error) => log.write("error", `[GUARD]${error.message}`));
    for (const receipt of receipts) {
      const waiters = this.#receiptWaiters.get(receipt.transactionHash.toString("latin1"));
      for (const waiter of waiters ?? []) waiter(receipt);
    }
  }

  async #serve({ to, fromHeight, count }: Extract<ReplicaEffect, { kind: "serve-blocks" }>): Promise<void> {
    // One at a time for each peer: what it asks for meanwhile it asks for again.
    if (this.#serving.has(to)) return;
    this.#serving.add(to);
    try {
      const { store, outward } = this.#options;
      const blocks = await store.encodedBlocks(fromHeight, Math.min(count, maxSyncBlocks), maxBlockBytes);
      if (blocks.length > 0 && !this.#stopped) outward.send(to, encodeBlocks(blocks));
    } finally {
      this.#serving.delete(to);
    }
  }

  #answer(id: number, answer: Submission): void {
    this.#submissions.get(id)?.(answer);
    this.#submissions.delete(id);
  }

  #bear(peer: number, reason: string): void {
    const count = (this.#misbehaviours.get(peer) ?? 0) + 1;
    this.#misbehaviours.set(peer, count);
    // A peer must not fill the disk with lines about itself.
    if ((count & (count - 1)) === 0)
      this.#options.log.write("warning", `[CONSENSUS][PBFT]misbehaviour,sealer=${peer},count=${count}: ${reason}`);
    if (count % borneMisbehaviours === 0) this.#options.outward.disconnect(peer);
  }
}

function reportLine({ header, hash, transactions, proof }: FinalBlock): string {
  return `[CONSENSUS][PBFT][METRIC]^^^^^^^^Report,number=${header.height},hash=${hash.toString("hex").slice(0, 16)}...,sealer=${header.proposer},view=${proof.view},txs=${transactions.length},signatures=${proof.signatures.length}`;
}
