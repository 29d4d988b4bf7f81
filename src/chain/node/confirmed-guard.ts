import { setTimeout as pause } from "node:timers/promises";
import { Backoff } from "../../node/backoff.ts";
import { ChainNodeError } from "./errors.ts";
import type { GuardCounter } from "./guard-counter.ts";
import type { GuardFile, GuardMark } from "./guard-file.ts";
import type { GuardEntry } from "./guard-format.ts";
import type { Log } from "./log.ts";
import type { GuardOutcome } from "./replica-host.ts";

export interface ConfirmedGuardOptions {
  /** Without it, what is on the disk is enough. */
  readonly counter?: GuardCounter;
  /** Told so: a guard that has had a counter goes on without it. @defaultValue `false` */
  readonly withoutCounter?: boolean;
  readonly log: Log;
  /** Between two attempts while the key manager is away. */
  readonly pauses?: Pick<Backoff, "next" | "reset">;
}

interface Waiter {
  readonly value: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** An entry that is not written yet. */
interface Held {
  readonly height: number;
  readonly resolve: (isWanted: boolean) => void;
  readonly reject: (error: Error) => void;
}

const firstPauseMs = 250;
const longestPauseMs = 5000;
const betweenLinesMs = 60_000;

/**
 * The double-sign guard as a node uses it: an entry is stored when it is in the file *and* the counter at the key manager has
 * passed it. The counter goes from each point to a later one of the same history only, so of two copies of a guard that have
 * gone apart one alone can go on; a copy of an earlier time stands behind the counter and does not start.
 *
 * Entries that are added while the counter is being advanced go together with the next advance. While the key manager is away
 * nothing more is written, since only what is confirmed can be forgotten: entries wait in memory, until a block closes their
 * height. One that was stored is never asked for again after a restart, whether its signature was made or not.
 */
export class ConfirmedGuard implements AsyncDisposable {
  readonly #file: GuardFile;
  readonly #counter: GuardCounter | undefined;
  readonly #log: Log;
  readonly #pauses: Pick<Backoff, "next" | "reset">;
  readonly #closing = new AbortController();
  #confirmed: GuardMark | undefined;
  #waiters: Waiter[] = [];
  #isAdvancing = false;
  #isAway = false;
  #held: Held[] = [];
  #saidAtMs = Number.NEGATIVE_INFINITY;
  #isSaid = false;
  #failed: Error | undefined;

  private constructor(file: GuardFile, { counter, log, pauses }: ConfirmedGuardOptions) {
    this.#file = file;
    this.#counter = counter;
    this.#log = log;
    this.#pauses = pauses ?? new Backoff(firstPauseMs, longestPauseMs);
  }

  /**
   * Compares the file with the counter, and takes the counter to the file's end. The file is left as it is; it and the counter
   * stay the caller's to close.
   *
   * @throws {ChainNodeError} `GUARD_ROLLED_BACK` when the counter stands where this file has not been;
   *   `GUARD_COUNTER_MISSING` for a file that has had a counter; `KEY_MANAGER_UNREACHABLE`, `KEY_MANAGER_REFUSED`.
   */
  static async open(file: GuardFile, options: ConfirmedGuardOptions): Promise<ConfirmedGuard> {
    const guard = new ConfirmedGuard(file, options);
    const { counter, log } = options;
    if (counter === undefined) {
      if (file.isCounted && options.withoutCounter !== true)
        throw new ChainNodeError(
          "GUARD_COUNTER_MISSING",
          "the double-sign guard has a counter at the key manager, and strongroom.guard_counter does not name it: without it an older copy of this data folder would pass. Set guard_counter again, or to none to give the counter up",
        );
      log.write(
        "warning",
        "[GUARD]no strongroom.guard_counter: a data folder that is put back to an earlier time as a whole, or runs twice as a copy, is not noticed",
      );
      return guard;
    }
    guard.#take(await counter.read());
    if (guard.#confirmed === undefined && file.written > 0)
      log.write(
        "warning",
        `[GUARD]the key manager has no counter for this guard: it begins with the ${file.written} entries that are here. ${file.isCounted ? "It had one: an administrator has removed it, or the node asks another key manager or under another name" : "That is so when guard_counter was just set"}`,
      );
    while (guard.#confirmedValue < file.written) await guard.#advance(file.end);
    await file.markCounted();
    return guard;
  }

  get entries(): readonly GuardEntry[] {
    return this.#file.entries;
  }

  /** How many entries were ever added; durable, not all of them confirmed. */
  get written(): number {
    return this.#file.written;
  }

  /** Of heights up to this one promises are forgotten: none may be made there. */
  get closedHeight(): number {
    return this.#file.closedHeight;
  }

  /**
   * Resolves to `stored` once what the entry names may be signed.
   *
   * @throws {ChainNodeError} `GUARD_UNWRITABLE`; and what ends the node, now and at every later call: `GUARD_ROLLED_BACK`,
   *   `KEY_MANAGER_REFUSED`.
   */
  async store(entry: GuardEntry): Promise<GuardOutcome> {
    if (this.#failed !== undefined) throw this.#failed;
    if (this.#isAway && !(await this.#untilBack(entry.height))) return "passed";
    const value = await this.#file.append(entry);
    if (this.#counter !== undefined) await this.#confirm(value);
    return "stored";
  }

  /** Forgets confirmed entries of heights whose blocks are durable in the store. */
  forget(upToHeight: number): Promise<void> {
    for (const { resolve } of this.#takeHeld(({ height }) => height <= upToHeight)) resolve(false);
    return this.#file.forget(upToHeight, this.#counter === undefined ? undefined : this.#confirmedValue);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#fail(new ChainNodeError("GUARD_UNWRITABLE", "the double-sign guard is closed"));
  }

  get #confirmedValue(): number {
    return this.#confirmed?.value ?? 0;
  }

  /** Resolves once the key manager answers again; to false for an entry whose height a block has closed meanwhile. */
  #untilBack(height: number): Promise<boolean> {
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    this.#held.push({ height, resolve, reject });
    return promise;
  }

  #takeHeld(isMeant: (held: Held) => boolean = () => true): readonly Held[] {
    const taken = this.#held.filter(isMeant);
    this.#held = this.#held.filter((held) => !isMeant(held));
    return taken;
  }

  #confirm(value: number): Promise<void> {
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    if (value <= this.#confirmedValue) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiters.push({ value, resolve, reject });
    if (!this.#isAdvancing) void this.#advanceToEnd();
    return promise;
  }

  async #advanceToEnd(): Promise<void> {
    this.#isAdvancing = true;
    try {
      while (this.#waiters.length > 0) {
        await this.#advancePatiently(this.#file.end);
        const passed = this.#waiters.filter(({ value }) => value <= this.#confirmedValue);
        this.#waiters = this.#waiters.filter(({ value }) => value > this.#confirmedValue);
        for (const { resolve } of passed) resolve();
      }
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.#isAdvancing = false;
    }
  }

  /** Asks until there is an answer, always for the same step: an attempt without an answer may have been carried out. */
  async #advancePatiently(next: GuardMark): Promise<void> {
    for (;;) {
      try {
        await this.#advance(next);
        this.#isBack();
        return;
      } catch (error) {
        if (this.#failed !== undefined) throw this.#failed;
        if (!(error instanceof ChainNodeError && error.code === "KEY_MANAGER_UNREACHABLE")) throw error;
        this.#isAway = true;
        // Also of a key manager that answers every other request no more is said.
        if (performance.now() - this.#saidAtMs >= betweenLinesMs) {
          this.#saidAtMs = performance.now();
          this.#isSaid = true;
          this.#log.write("warning", `[GUARD]votes wait, nothing is signed meanwhile: ${error.message}`);
        }
        await pause(this.#pauses.next(), undefined, { signal: this.#closing.signal });
      }
    }
  }

  #isBack(): void {
    this.#pauses.reset();
    this.#isAway = false;
    if (this.#isSaid) this.#log.write("info", "[GUARD]the key manager confirms votes again");
    this.#isSaid = false;
    for (const { resolve } of this.#takeHeld()) resolve(true);
  }

  /** One attempt. Afterwards the counter is known to stand at `next`, or elsewhere in this guard's history. */
  async #advance(next: GuardMark): Promise<void> {
    if (this.#counter === undefined) return;
    const outcome = await this.#counter.advance(this.#confirmed, next);
    if (this.#failed !== undefined) throw this.#failed;
    if (outcome === "advanced") {
      this.#confirmed = next;
      return;
    }
    // A request of an earlier life that arrived late, or a counter that was removed meanwhile: both leave it in our history.
    const before = this.#confirmedValue;
    this.#take(await this.#counter.read());
    if (this.#confirmedValue === before)
      throw new ChainNodeError(
        "KEY_MANAGER_UNREACHABLE",
        "the key manager's answers about the counter contradict each other",
      );
    this.#log.write("warning", `[GUARD]the counter was found at ${this.#confirmedValue}, not at ${before}`);
  }

  #take(mark: GuardMark | undefined): void {
    if (mark !== undefined && this.#file.stampAt(mark.value)?.equals(mark.stamp) !== true)
      throw new ChainNodeError("GUARD_ROLLED_BACK", rolledBack(mark.value, this.#file));
    this.#confirmed = mark;
  }

  #fail(error: Error): void {
    this.#failed ??= error;
    for (const { reject } of [...this.#waiters.splice(0), ...this.#takeHeld()]) reject(this.#failed);
  }
}

function rolledBack(counter: number, file: GuardFile): string {
  const remedy =
    "Nothing was signed. Put the newest data folder back, let one process alone run on it, or give the node a new key";
  if (counter > file.written)
    return `the key manager's counter stands at ${counter} and the double-sign guard has ${file.written} entries: this data folder is an older copy, or another copy runs. ${remedy}`;
  if (file.stampAt(counter) === undefined)
    return `the key manager's counter stands at ${counter}, before all that the double-sign guard still knows: the node ran without guard_counter, or the key manager was put back to an older state. An administrator who is sure that this data folder is the newest removes the counter`;
  return `the key manager's counter stands at ${counter}, where the double-sign guard has another entry: another copy of this data folder has run. ${remedy}`;
}
