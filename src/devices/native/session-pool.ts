import { BackOff } from "./back-off.ts";
import type { DeviceLink } from "./device-link.ts";
import { DeviceFault, type FaultFacts } from "./fault.ts";
import type { PendingCall } from "./pending-call.ts";
import type { PoolOwner } from "./pool-owner.ts";

interface Slot {
  readonly number: number;
  /** `ended`: of no more use, but it can't be closed while an abandoned call may still run. */
  state: "opening" | "open" | "closing" | "ended" | "abandoned";
  /** Calls that were sent to it, the one that runs first. */
  readonly sent: Sent[];
  /** Since when its first call may be running; Infinity while none can be. */
  headSinceMs: number;
  fault: FaultFacts | undefined;
}

interface Sent {
  readonly id: number;
  readonly call: PendingCall;
  readonly slot: Slot;
}

/** One runs, one waits in the device's process for it to end: the library is not idle while an answer travels. */
const fewestCallsInSlot = 2;
/** Short calls wait there in larger numbers, so that they travel together. */
const mostCallsInSlot = 16;
/**
 * How much work is sent ahead, in milliseconds: more than an answer and the next call take to travel on a busy machine, and so much
 * that a session runs a group of short calls while the next group is there already.
 */
const sentAheadMs = 40;
/** Weight of the latest call in the running mean of how long calls take. */
const latestWeight = 1 / 16;
/** A process that runs its loop answers a revocation in far less. */
const revocationMs = 2_000;

/** The sessions in one process: who runs what, until when, and what replaces a session that ended. */
export class SessionPool {
  readonly #link: DeviceLink;
  readonly #owner: PoolOwner;
  readonly #slots: Slot[] = [];
  readonly #sent = new Map<number, Sent>();
  readonly #backOff: BackOff;
  #cancelReopening: (() => void) | undefined;
  #lastId = 0;
  #lastSlot = 0;
  /** Openings and closings that were asked for and not answered. */
  #exclusive = 0;
  /** When the library was last found without a running call while {@link #exclusive} was above 0. */
  #aloneSinceMs: number | undefined;
  #revokedAtMs: number | undefined;
  #meanCallMs = sentAheadMs;
  #ending = false;

  constructor(link: DeviceLink, owner: PoolOwner) {
    this.#link = link;
    this.#owner = owner;
    const { reopenFirstMs, reopenLongestMs } = owner.settings;
    this.#backOff = new BackOff(reopenFirstMs, reopenLongestMs, () => owner.surroundings.random());
    for (let count = 0; count < owner.settings.minSessions; count += 1) this.#open();
  }

  get sessions(): number {
    return this.#count("open");
  }

  get abandoned(): number {
    return this.#count("abandoned");
  }

  /** Sends what waits to sessions that can take it. */
  fill(): void {
    const { queue } = this.#owner;
    while (queue.length > 0 && !this.#ending) {
      const slot = this.#freest();
      if (slot === undefined) break;
      const call = queue.shift();
      if (call !== undefined) this.#send(call, slot);
    }
  }

  alone(): void {
    this.#aloneSinceMs = this.#nowMs();
    for (const slot of this.#slots) slot.headSinceMs = Number.POSITIVE_INFINITY;
    this.#owner.due(this.#aloneSinceMs + this.#owner.settings.openDeadlineMs);
  }

  opened(number: number): void {
    this.#exclusiveDone();
    const slot = this.#slots.find((one) => one.number === number);
    if (slot === undefined) return;
    slot.state = "open";
    this.#backOff.succeeded();
    this.#owner.sessionOpened(this.sessions);
    this.fill();
  }

  openFailed(number: number, fault: FaultFacts): void {
    this.#exclusiveDone();
    this.#remove(number);
    this.#owner.sessionFailed(fault);
    this.#reopenLater();
  }

  closed(number: number): void {
    this.#exclusiveDone();
    const slot = this.#remove(number);
    this.#owner.sessionClosed(this.sessions, slot?.fault);
    this.#reopenLater();
    this.fill();
  }

  answered(id: number, answers: readonly Buffer[]): void {
    const sent = this.#settle(id);
    if (sent === undefined) return;
    this.#owner.answered(sent.call, answers);
    this.#after(sent.slot, undefined);
  }

  faulted(id: number, fault: FaultFacts): void {
    const sent = this.#settle(id);
    if (sent === undefined) return;
    this.#owner.faulted(sent.call, fault);
    this.#after(sent.slot, fault);
  }

  revoked(id: number): void {
    const sent = this.#settle(id);
    if (sent === undefined) return;
    const { call } = sent;
    call.attempts -= 1;
    if (call.settled) this.#owner.unsent(call);
    else this.#owner.queue.unshift(call);
    this.fill();
  }

  /** Finds calls and openings that take too long. Returns when to look again, or undefined. */
  sweep(nowMs: number): number | undefined {
    const { openDeadlineMs } = this.#owner.settings;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const slot of this.#slots) {
      const head = slot.sent[0];
      if (head === undefined || slot.state === "abandoned") continue;
      const endsMs = slot.headSinceMs + head.call.deadlineMs;
      if (endsMs <= nowMs) this.#abandon(slot, head, nowMs);
      else nextMs = Math.min(nextMs, endsMs);
    }
    if (this.#aloneSinceMs !== undefined) {
      const endsMs = this.#aloneSinceMs + openDeadlineMs;
      if (endsMs <= nowMs) this.#giveUp("OPEN_DEADLINE", `a session did not open or close within ${openDeadlineMs} ms`);
      else nextMs = Math.min(nextMs, endsMs);
    }
    if (this.#revokedAtMs !== undefined && this.#waitsForRevocation()) {
      const endsMs = this.#revokedAtMs + revocationMs;
      if (endsMs <= nowMs) this.#giveUp("NO_ANSWER", "the device's process does not react while a call hangs");
      else nextMs = Math.min(nextMs, endsMs);
    }
    return nextMs === Number.POSITIVE_INFINITY ? undefined : nextMs;
  }

  /** Nothing new is sent or opened; a call that hangs from now on ends the process. */
  stop(): void {
    this.#ending = true;
    this.#cancelReopening?.();
  }

  /** The process is gone. Returns the calls that may have reached the library. */
  end(): PendingCall[] {
    this.stop();
    const calls = [...this.#sent.values()].map(({ call }) => call);
    this.#sent.clear();
    this.#slots.length = 0;
    return calls;
  }

  #send(call: PendingCall, slot: Slot): void {
    this.#lastId = (this.#lastId + 1) >>> 0;
    const sent: Sent = { id: this.#lastId, call, slot };
    this.#sent.set(sent.id, sent);
    slot.sent.push(sent);
    if (slot.sent.length === 1) this.#headStarts(slot, call);
    else if (this.#slots.length < this.#owner.settings.maxSessions) this.#openIfPossible();
    call.attempts += 1;
    this.#link.call(sent.id, slot.number, call.operation, call.args);
  }

  #headStarts(slot: Slot, call: PendingCall): void {
    if (this.#exclusive > 0) {
      slot.headSinceMs = Number.POSITIVE_INFINITY;
      return;
    }
    slot.headSinceMs = this.#nowMs();
    this.#owner.due(slot.headSinceMs + call.deadlineMs);
  }

  #settle(id: number): Sent | undefined {
    const sent = this.#sent.get(id);
    if (sent === undefined) return undefined;
    this.#sent.delete(id);
    const { slot } = sent;
    const wasHead = slot.sent[0] === sent;
    slot.sent.splice(slot.sent.indexOf(sent), 1);
    if (!wasHead) return sent;
    const tookMs = this.#nowMs() - slot.headSinceMs;
    if (tookMs >= 0) this.#meanCallMs += (tookMs - this.#meanCallMs) * latestWeight;
    const next = slot.sent[0];
    if (next !== undefined) this.#headStarts(slot, next.call);
    return sent;
  }

  /** A call came back: the session goes on, or is closed. */
  #after(slot: Slot, fault: FaultFacts | undefined): void {
    if (slot.state === "abandoned") {
      // It came back after all; what the session is worth is not known.
      slot.state = "ended";
    } else if (fault?.evict === true && slot.state === "open") {
      slot.state = "ended";
      slot.fault = fault;
    }
    this.#closeEnded();
    this.fill();
  }

  /** Closing waits for every running call: with one that never ends it would hold up all the others. */
  #closeEnded(): void {
    if (this.#ending) return;
    if (this.abandoned > 0) {
      this.#giveUpWithoutSessions();
      return;
    }
    for (const slot of this.#slots) {
      if (slot.state !== "ended") continue;
      slot.state = "closing";
      this.#exclusive += 1;
      this.#link.closeSession(slot.number);
    }
  }

  #abandon(slot: Slot, head: Sent, nowMs: number): void {
    slot.state = "abandoned";
    const { operation, deadlineMs } = head.call;
    const fault = new DeviceFault({
      kind: "timeout",
      code: "DEADLINE",
      message: `${operation} did not come back within ${deadlineMs} ms; whether it was done is not known`,
    });
    this.#owner.faulted(head.call, fault);
    this.#owner.sessionAbandoned(operation, this.abandoned);
    const limit = this.#owner.settings.abandonedSessions;
    if (this.#ending || this.#exclusive > 0 || this.abandoned > limit) {
      this.#giveUp("HUNG", `${this.abandoned} calls hang in the library`);
      return;
    }
    this.#giveUpWithoutSessions();
    for (const { id } of slot.sent.slice(1)) {
      this.#revokedAtMs = nowMs;
      this.#link.revoke(id);
      this.#owner.due(nowMs + revocationMs);
    }
  }

  #waitsForRevocation(): boolean {
    return this.#slots.some((slot) => slot.state === "abandoned" && slot.sent.length > 1);
  }

  #giveUpWithoutSessions(): void {
    if (this.sessions === 0) this.#giveUp("HUNG", "calls hang in the library, and no session is left");
  }

  #giveUp(code: string, message: string): void {
    this.#owner.giveUp(new DeviceFault({ kind: "timeout", code, message: `${message}; the process is replaced` }));
  }

  #exclusiveDone(): void {
    this.#exclusive -= 1;
    this.#aloneSinceMs = undefined;
    if (this.#exclusive > 0) return;
    for (const slot of this.#slots) {
      const head = slot.sent[0];
      if (head !== undefined && slot.headSinceMs === Number.POSITIVE_INFINITY) this.#headStarts(slot, head.call);
    }
  }

  #freest(): Slot | undefined {
    let freest: Slot | undefined;
    const most = Math.max(fewestCallsInSlot, Math.min(mostCallsInSlot, Math.floor(sentAheadMs / this.#meanCallMs)));
    for (const slot of this.#slots) {
      if (slot.state !== "open") continue;
      if (slot.sent.length === 0) return slot;
      if (slot.sent.length < (freest?.sent.length ?? most)) freest = slot;
    }
    return freest;
  }

  #open(): void {
    this.#lastSlot = (this.#lastSlot + 1) & 0xffff;
    this.#exclusive += 1;
    this.#slots.push({
      number: this.#lastSlot,
      state: "opening",
      sent: [],
      headSinceMs: Number.POSITIVE_INFINITY,
      fault: undefined,
    });
    this.#link.openSession(this.#lastSlot);
  }

  #openIfPossible(): void {
    if (this.#ending || this.#exclusive > 0 || this.#cancelReopening !== undefined || this.abandoned > 0) return;
    this.#open();
  }

  /** Opens a session after a wait that grows with each failure, if one is still missing then. */
  #reopenLater(): void {
    if (this.#ending || this.#cancelReopening !== undefined) return;
    this.#cancelReopening = this.#owner.surroundings.after(this.#backOff.nextMs(), () => {
      this.#cancelReopening = undefined;
      if (this.#slots.length >= this.#owner.settings.minSessions) return;
      this.#openIfPossible();
      if (this.#slots.length < this.#owner.settings.minSessions) this.#reopenLater();
    });
  }

  #remove(number: number): Slot | undefined {
    const at = this.#slots.findIndex((slot) => slot.number === number);
    return at < 0 ? undefined : this.#slots.splice(at, 1)[0];
  }

  #count(state: Slot["state"]): number {
    let count = 0;
    for (const slot of this.#slots) if (slot.state === state) count += 1;
    return count;
  }

  #nowMs(): number {
    return this.#owner.surroundings.nowMs();
  }
}
