import { DeviceFault, type FaultFacts } from "./fault.ts";
import type { DeviceSession, HeldCall, OpenedDevice } from "./program.ts";

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

interface Held extends HostedCall, HeldCall {}

/** Answers that wait together to be confirmed: as many are lost with a session that ends meanwhile. */
const mostHeld = 8;
/** While more calls than this wait, the next is run before what is held is confirmed: with fewer, the session would run dry. */
const waitingWhileHeld = 1;

interface Slot {
  readonly number: number;
  session: DeviceSession | undefined;
  readonly waiting: HostedCall[];
  running: boolean;
  /** A fault has ended its session, or it is being closed: nothing more is started in it. */
  ended: boolean;
}

/**
 * The sessions of one device inside its process: one call at a time in each, and a reader-writer lock over all, by which
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
    const slot: Slot = { number, session: undefined, waiting: [], running: false, ended: false };
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
    this.#start(slot);
  }

  /** Answers `revoked` if the call has not been started; is silent otherwise. */
  revoke(id: number): void {
    for (const slot of this.#slots.values()) {
      const at = slot.waiting.findIndex((call) => call.id === id);
      if (at >= 0) this.#dropCalls(slot.waiting.splice(at, 1));
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

  #start(slot: Slot): void {
    const { session } = slot;
    if (session === undefined || slot.running || slot.waiting.length === 0 || this.#inExclusive || !this.#goesOn(slot))
      return;
    slot.running = true;
    this.#running += 1;
    void this.#work(slot, session);
  }

  #goesOn(slot: Slot): boolean {
    return !slot.ended && this.#exclusive.length === 0;
  }

  /** Runs what waits for a session, one call after the other. */
  async #work(slot: Slot, session: DeviceSession): Promise<void> {
    const held: Held[] = [];
    while (this.#goesOn(slot)) {
      const call = slot.waiting.shift();
      if (call === undefined) break;
      try {
        const given = session.call(call.operation, call.args);
        const answers = given instanceof Promise ? await given : given;
        if (session.mustConfirm?.(call.operation) === true) held.push({ ...call, answers });
        else this.#answered(call, answers);
      } catch (error) {
        this.#faulted(slot, call, error);
      }
      const mayHold = held.length < mostHeld && slot.waiting.length > waitingWhileHeld && this.#goesOn(slot);
      if (held.length > 0 && !mayHold) await this.#confirm(slot, session, held.splice(0));
    }
    slot.running = false;
    this.#running -= 1;
    if (this.#exclusive.length > 0) this.#runExclusive();
  }

  async #confirm(slot: Slot, session: DeviceSession, held: readonly Held[]): Promise<void> {
    const hadEnded = slot.ended;
    let faults: readonly (DeviceFault | undefined)[];
    try {
      faults = (await session.confirm?.(held)) ?? [];
      if (faults.length !== held.length) throw new TypeError("a session confirms each call or none");
    } catch (error) {
      // One trouble, however many calls it costs: that which ended the session before, or the confirming itself.
      const fault = factsOf(error);
      const { kind, code, message, evict, retryable } = fault;
      const following = new DeviceFault({ kind, code, message, evict, retryable, follows: true });
      faults = held.map((_, at) => (at > 0 || hadEnded ? following : fault));
    }
    for (const [at, call] of held.entries()) {
      const fault = faults[at];
      if (fault === undefined) this.#answered(call, call.answers);
      else {
        wipe(call.answers);
        this.#faulted(slot, call, fault);
      }
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
