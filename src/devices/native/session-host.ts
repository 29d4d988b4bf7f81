import { DeviceFault, type FaultFacts } from "./fault.ts";
import {
  type DeviceSession,
  type GroupOutcome,
  mostGroups,
  mostInGroup,
  type OpenedDevice,
  type RunningGroup,
} from "./program.ts";

/** Where a host tells what came of what it was asked. */
export interface HostReplies {
  /** No call runs; a session is being opened or closed. */
  alone(): void;
  sessionOpened(slot: number): void;
  sessionFailed(slot: number, fault: FaultFacts): void;
  sessionClosed(slot: number): void;
  answered(id: number, answers: readonly Buffer[]): void;
  faulted(id: number, fault: FaultFacts): void;
  revoked(id: number): void;
}

interface HostedCall {
  readonly id: number;
  readonly operation: string;
  readonly args: readonly Buffer[];
}

interface HostedGroup {
  readonly calls: readonly HostedCall[];
  readonly running: RunningGroup;
  /** Calls of it that were told to be revoked. */
  readonly revoked: Set<HostedCall>;
}

interface Slot {
  readonly number: number;
  session: DeviceSession | undefined;
  readonly waiting: HostedCall[];
  /** Calls are being run one by one. */
  single: boolean;
  readonly groups: HostedGroup[];
  /** Calls that arrive in one turn are gathered for a group. */
  gathering: boolean;
  /** A fault has ended its session, or it is being closed: nothing more is started in it. */
  ended: boolean;
}

/**
 * The sessions of one device inside its process: one call, or group of calls, at a time in each, and a reader-writer lock over all, by which
 * sessions open and close while no call runs. Some libraries fall over otherwise.
 */
export class SessionHost {
  readonly #device: OpenedDevice;
  readonly #replies: HostReplies;
  readonly #slots = new Map<number, Slot>();
  readonly #exclusive: (() => Promise<void>)[] = [];
  #running = 0;
  #inExclusive = false;

  constructor(device: OpenedDevice, replies: HostReplies) {
    this.#device = device;
    this.#replies = replies;
  }

  /** Opens a session as soon as no call runs; answers `sessionOpened` or `sessionFailed`. */
  openSession(number: number): void {
    const slot: Slot = {
      number,
      session: undefined,
      waiting: [],
      single: false,
      groups: [],
      gathering: false,
      ended: false,
    };
    this.#slots.set(number, slot);
    this.#whenAlone(async () => {
      try {
        slot.session = await this.#device.openSession();
        this.#replies.sessionOpened(number);
      } catch (error) {
        this.#slots.delete(number);
        this.#replies.sessionFailed(number, factsOf(error));
      }
    });
  }

  /** Closes a session as soon as no call runs; what waits for it is revoked. */
  closeSession(number: number): void {
    const slot = this.#slots.get(number);
    if (slot === undefined) {
      this.#replies.sessionClosed(number);
      return;
    }
    this.#end(slot);
    this.#whenAlone(async () => {
      await closeQuietly(slot.session);
      this.#slots.delete(number);
      this.#replies.sessionClosed(number);
    });
  }

  /** Runs a call after those that came before it to the same session. */
  call(id: number, number: number, operation: string, args: readonly Buffer[]): void {
    const slot = this.#slots.get(number);
    if (slot?.session === undefined || slot.ended) {
      wipe(args);
      this.#replies.revoked(id);
      return;
    }
    slot.waiting.push({ id, operation, args });
    if (slot.session.runsInGroups?.(operation) === true) this.#startSoon(slot);
    else this.#start(slot);
  }

  /** Answers `revoked` if the call has not been started; is silent otherwise. */
  revoke(id: number): void {
    for (const slot of this.#slots.values()) {
      const at = slot.waiting.findIndex((call) => call.id === id);
      if (at >= 0) this.#dropCalls(slot.waiting.splice(at, 1));
      this.#revokeInGroups(slot, (call) => call.id === id);
    }
  }

  /** Revokes what waits, lets what runs come back, and closes sessions and device. */
  close(): Promise<void> {
    for (const slot of this.#slots.values()) this.#end(slot);
    return new Promise((resolve) => {
      this.#whenAlone(async () => {
        for (const slot of this.#slots.values()) await closeQuietly(slot.session);
        this.#slots.clear();
        await this.#device.close().catch(() => undefined);
        resolve();
      });
    });
  }

  /** Once all that has arrived in this turn is there. */
  #startSoon(slot: Slot): void {
    if (slot.gathering) return;
    slot.gathering = true;
    queueMicrotask(() => {
      slot.gathering = false;
      this.#start(slot);
    });
  }

  #start(slot: Slot): void {
    const { session } = slot;
    while (session !== undefined && !slot.single && !this.#inExclusive && this.#goesOn(slot)) {
      const [next] = slot.waiting;
      if (next === undefined) return;
      const inGroup = session.runsInGroups?.(next.operation) === true;
      if (slot.groups.length >= (inGroup ? mostGroups : 1)) return;
      this.#running += 1;
      if (inGroup) void this.#runGroup(slot, session);
      else void this.#runSingles(slot, session);
    }
  }

  #goesOn(slot: Slot): boolean {
    return !slot.ended && this.#exclusive.length === 0;
  }

  /** Runs what waits for a session, one call after the other, up to one that runs in a group. */
  async #runSingles(slot: Slot, session: DeviceSession): Promise<void> {
    slot.single = true;
    while (this.#goesOn(slot)) {
      const [call] = slot.waiting;
      if (call === undefined || session.runsInGroups?.(call.operation) === true) break;
      slot.waiting.shift();
      try {
        const given = session.call(call.operation, call.args);
        this.#answered(call, given instanceof Promise ? await given : given);
      } catch (error) {
        this.#faulted(slot, call, error);
      }
    }
    slot.single = false;
    this.#hasRun(slot);
  }

  async #runGroup(slot: Slot, session: DeviceSession): Promise<void> {
    const other = slot.waiting.findIndex(({ operation }) => session.runsInGroups?.(operation) !== true);
    const calls = slot.waiting.splice(0, Math.min(mostInGroup, other < 0 ? mostInGroup : other));
    let outcomes: readonly GroupOutcome[];
    let group: HostedGroup | undefined;
    try {
      if (session.runGroup === undefined) throw new TypeError("a session runs groups or has none");
      group = { calls, running: session.runGroup(calls), revoked: new Set() };
      slot.groups.push(group);
      outcomes = await group.running.outcomes;
      if (outcomes.length !== calls.length) throw new TypeError("a group tells of each call");
    } catch (error) {
      outcomes = sameTrouble(factsOf(error), calls.length);
    }
    if (group !== undefined) slot.groups.splice(slot.groups.indexOf(group), 1);
    const left: HostedCall[] = [];
    for (const [at, call] of calls.entries()) {
      const outcome = outcomes[at];
      if (group?.revoked.has(call) === true) continue;
      if (outcome === undefined) left.push(call);
      else if (outcome instanceof DeviceFault) this.#faulted(slot, call, outcome);
      else this.#answered(call, outcome);
    }
    if (slot.ended) this.#dropCalls(left);
    else slot.waiting.unshift(...left);
    this.#hasRun(slot);
  }

  #hasRun(slot: Slot): void {
    this.#running -= 1;
    if (this.#exclusive.length > 0) this.#runExclusive();
    else this.#start(slot);
  }

  #revokeInGroups(slot: Slot, which: (call: HostedCall) => boolean): void {
    for (const { calls, running, revoked } of slot.groups)
      for (const [at, call] of calls.entries()) {
        if (!which(call) || revoked.has(call) || !running.revoke(at)) continue;
        revoked.add(call);
        this.#dropCalls([call]);
      }
  }

  #answered(call: HostedCall, answers: readonly Buffer[]): void {
    this.#replies.answered(call.id, answers);
    wipe(answers);
    wipe(call.args);
  }

  #faulted(slot: Slot, call: HostedCall, error: unknown): void {
    const fault = factsOf(error);
    this.#replies.faulted(call.id, fault);
    if (fault.evict) this.#end(slot);
    wipe(call.args);
  }

  #end(slot: Slot): void {
    slot.ended = true;
    this.#dropCalls(slot.waiting.splice(0));
    this.#revokeInGroups(slot, () => true);
  }

  #dropCalls(calls: readonly HostedCall[]): void {
    for (const { id, args } of calls) {
      wipe(args);
      this.#replies.revoked(id);
    }
  }

  #whenAlone(run: () => Promise<void>): void {
    this.#exclusive.push(run);
    this.#runExclusive();
  }

  #runExclusive(): void {
    if (this.#inExclusive || this.#running > 0) return;
    const run = this.#exclusive.shift();
    if (run === undefined) {
      for (const slot of this.#slots.values()) this.#start(slot);
      return;
    }
    this.#inExclusive = true;
    this.#replies.alone();
    void run().finally(() => {
      this.#inExclusive = false;
      this.#runExclusive();
    });
  }
}

/** A session that does not close cleanly is gone all the same. */
async function closeQuietly(session: DeviceSession | undefined): Promise<void> {
  await session?.close().catch(() => undefined);
}

function wipe(buffers: readonly Buffer[]): void {
  for (const buffer of buffers) buffer.fill(0);
}

/** One trouble, however many calls it costs. */
function sameTrouble(fault: DeviceFault, calls: number): readonly DeviceFault[] {
  const { kind, code, message, evict, retryable } = fault;
  const following = new DeviceFault({ kind, code, message, evict, retryable, follows: true });
  return Array.from({ length: calls }, (_, at) => (at > 0 ? following : fault));
}

/** What is told of an error. Only a program's own faults say what they say: other messages may hold anything. */
export function factsOf(error: unknown): DeviceFault {
  if (error instanceof DeviceFault) return error;
  const name = error instanceof Error ? error.name : typeof error;
  return new DeviceFault({
    kind: "device",
    code: "PROGRAM_ERROR",
    message: `the device's program failed with ${name}`,
  });
}
