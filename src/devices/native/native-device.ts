import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { DeviceError } from "../errors.ts";
import { Alarm } from "./alarm.ts";
import { BackOff } from "./back-off.ts";
import { CallDesk } from "./call-desk.ts";
import { callFaults, endsProcessBadly, isRefusal } from "./call-faults.ts";
import { type NativeDeviceEvent, type NativeDeviceHealth, stateOfReady } from "./device-events.ts";
import {
  type DeviceLink,
  type LinkEvents,
  realSurroundings,
  type StartLink,
  type Surroundings,
} from "./device-link.ts";
import { DeviceProcess } from "./device-process.ts";
import { deviceErrorOf, type FaultFacts } from "./fault.ts";
import type { NativeCallOptions, NativeCalls, NativeDeviceOptions } from "./native-calls.ts";
import type { PendingCall } from "./pending-call.ts";
import { type PoolSettings, poolSettings } from "./pool-settings.ts";
import { RestartLimit } from "./restart-limit.ts";
import { readSecretSource } from "./secret-source.ts";
import { SessionPool } from "./session-pool.ts";
import { Timers } from "./timers.ts";

/** After SIGKILL a process goes at once, unless a driver of the kernel holds it; then it is left behind. */
const killGraceMs = 2_000;
/** A repeatable call is sent at most so often. */
const mostAttempts = 2;

/** What a device runs on: real ones have a process and a clock, tests what they like. */
export interface DeviceGround {
  readonly start: StartLink;
  readonly settings: PoolSettings;
  readonly surroundings: Surroundings;
  readonly pin: SecretBuffer | undefined;
  readonly name: string;
  readonly tell: (event: NativeDeviceEvent) => void;
}

/** The process that runs, and what is known of it. */
interface Running {
  readonly link: DeviceLink;
  pool: SessionPool | undefined;
  /** Why it ends, once that is known. */
  endsBy: FaultFacts | undefined;
  readonly cancelDeadline: () => void;
}

/**
 * A device behind a native library, in a process of its own: its sessions, its calls with their deadlines, and its process,
 * which is replaced when it crashes or hangs. This process's event loop never waits for the library.
 */
export class NativeDevice implements NativeCalls {
  readonly #ground: DeviceGround;
  readonly #desk: CallDesk;
  readonly #restartBackOff: BackOff;
  readonly #restartLimit: RestartLimit;
  readonly #alarm: Alarm;
  readonly #opening = Promise.withResolvers<void>();
  readonly #ending = Promise.withResolvers<void>();
  readonly #timers: Timers;
  #state: "opening" | "ready" | "restarting" | "locked" | "down" | "closed" = "opening";
  #info: Readonly<Record<string, string | number | boolean>> = {};
  #running: Running | undefined;
  #restarts = 0;

  private constructor(ground: DeviceGround) {
    this.#ground = ground;
    const { settings, surroundings } = ground;
    this.#desk = new CallDesk(ground);
    this.#timers = new Timers(surroundings);
    this.#restartBackOff = new BackOff(settings.reopenFirstMs, settings.reopenLongestMs, surroundings.random);
    this.#restartLimit = new RestartLimit(settings);
    this.#alarm = new Alarm(surroundings, (nowMs) => this.#sweep(nowMs));
  }

  /**
   * Starts the device's process, opens the device and `minSessions` sessions.
   *
   * @throws {DeviceError} With the program's fault (a wrong PIN: `DEVICE_PIN_REFUSED`, tried once), kind `timeout` after
   *   `openDeadlineMs`, kind `device` for a process that ended; `DEVICE_PIN_UNSAFE`.
   * @throws {RangeError} For settings out of range, or a configuration above 1 MiB.
   */
  static async open(options: NativeDeviceOptions): Promise<NativeDevice> {
    const settings = poolSettings(options.pool);
    const { program, config, environment = {} } = options;
    const processOptions = { program, config, environment, sessions: settings.maxSessions };
    return NativeDevice.openOn({
      start: (events, lent) => new DeviceProcess(processOptions, events, lent),
      settings,
      surroundings: realSurroundings,
      pin: options.pin === undefined ? undefined : readSecretSource(options.pin),
      name: options.name ?? "the device",
      tell: options.tell ?? (() => undefined),
    });
  }

  /** {@link open} on another ground. Becomes the owner of `ground.pin`. */
  static async openOn(ground: DeviceGround): Promise<NativeDevice> {
    const device = new NativeDevice(ground);
    try {
      device.#start();
      await device.#opening.promise;
    } catch (error) {
      ground.pin?.[Symbol.dispose]();
      throw error;
    }
    return device;
  }

  get info(): Readonly<Record<string, string | number | boolean>> {
    return this.#info;
  }

  health(): NativeDeviceHealth {
    const { lastError, queue, breakerOpen } = this.#desk;
    const pool = this.#running?.pool;
    const facts = {
      sessions: pool?.sessions ?? 0,
      queue: queue.length,
      abandoned: pool?.abandoned ?? 0,
      restarts: this.#restarts,
      ...(lastError === undefined ? {} : { lastError }),
    };
    if (this.#state === "locked") return { state: "locked", detail: this.#lockedBecause(), ...facts };
    if (this.#state !== "ready") return { state: "down", detail: this.#state, ...facts };
    return { ...stateOfReady(facts, this.#ground.settings.minSessions, breakerOpen), ...facts };
  }

  call(operation: string, args: readonly Buffer[], options: NativeCallOptions = {}): Promise<readonly Buffer[]> {
    if (this.#state !== "ready" && this.#state !== "restarting") return Promise.reject(this.#refusal());
    return this.#desk.take(operation, args, options, ({ waitsUntilMs }) => {
      this.#running?.pool?.fill();
      if (this.#desk.queue.length > 0) this.#alarm.at(waitsUntilMs);
    });
  }

  /** Lets calls that run come back, within their deadlines. */
  lock(): Promise<void> {
    return this.#end("locked");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#end("closed");
  }

  #refusal(): DeviceError {
    const { name } = this.#ground;
    if (this.#state === "locked")
      return new DeviceError("DEVICE_LOCKED", `${name} is locked: ${this.#lockedBecause()}`);
    return deviceErrorOf(
      this.#state === "down" ? callFaults.down(name, this.#desk.lastError) : callFaults.closing(name),
    );
  }

  #lockedBecause(): string {
    const fault = this.#desk.lastError;
    return fault !== undefined && isRefusal(fault)
      ? "its PIN was refused, and it is not tried again until the device is opened anew"
      : "it was asked to be";
  }

  #start(): void {
    const { settings, name, tell, start, pin } = this.#ground;
    let running: Running | undefined;
    // What a process says counts for as long as it is the one that runs.
    const events = this.#eventsOf(() => (running === this.#running ? running : undefined));
    const link = start(events, pin);
    const cancelDeadline = this.#timers.after(settings.openDeadlineMs, () =>
      this.#kill(callFaults.openDeadline(name, settings.openDeadlineMs)),
    );
    running = { link, pool: undefined, endsBy: undefined, cancelDeadline };
    this.#running = running;
    tell({ event: "process-started", pid: link.pid });
  }

  #eventsOf(current: () => Running | undefined): LinkEvents {
    const pool = (): SessionPool | undefined => current()?.pool;
    return {
      opened: (info) => {
        const running = current();
        if (running === undefined) return;
        this.#info = info;
        running.pool = this.#newPool(running);
      },
      failed: (fault) => {
        const running = current();
        if (running === undefined) return;
        running.endsBy ??= fault;
        // It ends by itself, unless its library's threads keep it.
        this.#timers.after(killGraceMs, () => running.link.kill());
      },
      alone: () => pool()?.alone(),
      sessionOpened: (slot) => pool()?.opened(slot),
      sessionFailed: (slot, fault) => pool()?.openFailed(slot, fault),
      sessionClosed: (slot) => pool()?.closed(slot),
      answered: (id, answers) => pool()?.answered(id, answers),
      faulted: (id, fault) => pool()?.faulted(id, fault),
      revoked: (id) => pool()?.revoked(id),
      closed: () => undefined,
      ended: (exitCode, signal) => {
        const running = current();
        if (running !== undefined) this.#processEnded(running, exitCode, signal);
      },
    };
  }

  #newPool(running: Running): SessionPool {
    const { settings, surroundings, tell } = this.#ground;
    return new SessionPool(running.link, {
      settings,
      surroundings,
      queue: this.#desk.queue,
      answered: (call, answers) => this.#desk.answered(call, answers),
      faulted: (call, fault) => this.#callFaulted(call, fault),
      unsent: (call) => this.#desk.unsent(call),
      sessionOpened: (sessions) => {
        tell({ event: "session-opened", sessions });
        if (sessions >= settings.minSessions) this.#isReady(running);
      },
      sessionFailed: (fault) => this.#sessionFailed(fault),
      sessionClosed: (sessions, fault) =>
        tell({ event: "session-closed", sessions, ...(fault === undefined ? {} : { fault }) }),
      sessionAbandoned: (operation, abandoned) => tell({ event: "session-abandoned", operation, abandoned }),
      giveUp: (fault) => this.#kill(fault),
      due: (atMs) => this.#alarm.at(atMs),
    });
  }

  #isReady(running: Running): void {
    if (this.#state !== "opening" && this.#state !== "restarting") return;
    running.cancelDeadline();
    this.#restartBackOff.succeeded();
    this.#state = "ready";
    this.#opening.resolve();
  }

  #callFaulted(call: PendingCall, fault: FaultFacts): void {
    this.#desk.heard(fault);
    if (fault.kind === "locked-out" || (fault.kind === "auth" && fault.evict)) this.#lockBy(fault);
    const again = call.repeatable && fault.evict && call.attempts < mostAttempts && this.#state === "ready";
    if (again && !call.settled) this.#desk.queue.unshift(call);
    else call.fail(fault);
  }

  #sessionFailed(fault: FaultFacts): void {
    if (this.#state === "ready") {
      this.#desk.heard(fault);
      if (isRefusal(fault)) this.#lockBy(fault);
      // A device that was unplugged has to be opened anew, by most libraries only in a process of its own.
      else if ((this.#running?.pool?.sessions ?? 0) === 0) this.#kill(fault);
    } else this.#kill(fault);
  }

  #processEnded(running: Running, exitCode: number | null, signal: NodeJS.Signals | null): void {
    const { name, tell } = this.#ground;
    const { link, pool, endsBy } = running;
    const expected = endsBy !== undefined || this.#state === "locked" || this.#state === "closed";
    const fault = endsBy ?? callFaults.processEnded(name, exitCode, signal);
    running.cancelDeadline();
    const lost = pool?.end() ?? [];
    this.#running = undefined;
    tell({ event: "process-ended", pid: link.pid, exitCode, signal, expected });
    if (this.#state === "opening") {
      this.#state = "closed";
      this.#opening.reject(deviceErrorOf(fault));
    }
    if (isRefusal(fault)) this.#lockBy(fault);
    if (this.#state === "locked" || this.#state === "closed") {
      for (const call of lost) call.fail(callFaults.lostWithProcess(fault));
      this.#finish();
      return;
    }
    this.#state = "restarting";
    this.#desk.heard(fault);
    for (const call of lost.toReversed())
      if (call.repeatable && call.attempts < mostAttempts && !call.settled) this.#desk.queue.unshift(call);
      else call.fail(callFaults.lostWithProcess(fault));
    this.#restart(fault);
  }

  /** A device that says it can't be opened may come back after hours; a process that dies is a fault of its library. */
  #restart(fault: FaultFacts): void {
    const { name, surroundings, tell } = this.#ground;
    if (endsProcessBadly(fault) && !this.#restartLimit.admit(surroundings.nowMs())) {
      this.#state = "down";
      tell({ event: "down", fault });
      this.#desk.rejectAll(() => deviceErrorOf(callFaults.down(name, fault)));
      return;
    }
    this.#timers.after(this.#restartBackOff.nextMs(), () => {
      this.#restarts += 1;
      this.#start();
    });
    for (const { waitsUntilMs } of this.#desk.queue) this.#alarm.at(waitsUntilMs);
  }

  #sweep(nowMs: number): number | undefined {
    const poolMs = this.#running?.pool?.sweep(nowMs);
    const deskMs = this.#desk.sweep(nowMs);
    return poolMs === undefined || deskMs === undefined ? (poolMs ?? deskMs) : Math.min(poolMs, deskMs);
  }

  #kill(fault: FaultFacts): void {
    const running = this.#running;
    if (running === undefined || running.endsBy !== undefined) return;
    running.endsBy = fault;
    running.pool?.stop();
    running.link.kill();
    this.#timers.after(killGraceMs, () => {
      if (this.#running === running) this.#processEnded(running, null, "SIGKILL");
    });
  }

  #lockBy(fault: FaultFacts): void {
    this.#desk.lastError = fault;
    if (this.#state !== "locked" && this.#state !== "closed") void this.#end("locked", fault);
  }

  #end(state: "locked" | "closed", fault?: FaultFacts): Promise<void> {
    if (this.#state === "locked" || this.#state === "closed") {
      this.#state = state;
      return this.#ending.promise;
    }
    const { settings, pin, name, tell } = this.#ground;
    this.#state = state;
    pin?.[Symbol.dispose]();
    if (state === "locked") tell({ event: "locked", fault });
    this.#desk.rejectAll(() => (fault === undefined ? this.#refusal() : deviceErrorOf(fault)));
    const running = this.#running;
    if (running === undefined) this.#finish();
    else {
      running.pool?.stop();
      running.link.close();
      this.#timers.after(settings.callDeadlineMs + settings.openDeadlineMs, () =>
        this.#kill(callFaults.openDeadline(name, settings.openDeadlineMs)),
      );
    }
    return this.#ending.promise;
  }

  #finish(): void {
    this.#alarm.stop();
    this.#timers.stop();
    this.#desk.rejectAll(() => this.#refusal());
    this.#ending.resolve();
  }
}
