import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { DeviceFault } from "./fault.ts";

/**
 * What the module of a device program exports as `program`: one kind of native library, driven inside the device's own
 * process. Whatever it throws reaches the caller as a fault: throw `DeviceFault`; any other error counts as kind `device`,
 * and its message stays in the process.
 *
 * A fault of kind `auth` from opening the device or a session locks the device: the PIN is not tried again. So does one of kind
 * `locked-out` from anywhere, and one of kind `auth` with `evict` from a call, for programs that present the PIN there.
 */
export interface DeviceProgram<Config = unknown> {
  /**
   * Loads the library, opens the device, proves the layout by a known-answer self-test.
   *
   * @param config - What `NativeDevice.open` was given, through JSON: check its shape strictly.
   * @param pin - Lent until {@link OpenedDevice.close} returns, for sessions that are opened later; the host wipes it then.
   *   Copy nothing of it into strings.
   */
  open(config: Config, pin: SecretBuffer | undefined): Promise<OpenedDevice>;
}

export interface OpenedDevice {
  /** Shown by `device info`; no secrets. At most 64 KiB as JSON. */
  readonly info: Readonly<Record<string, string | number | boolean>>;
  /**
   * Opens a session and takes what rights it needs. Never runs beside any other openSession or close of a session, nor
   * beside a call: the host keeps a reader-writer lock.
   */
  openSession(): Promise<DeviceSession>;
  /** Called once, when all sessions are closed; exclusive as openSession is. */
  close(): Promise<void>;
}

/** One call of a group. */
export interface GroupCall {
  readonly operation: string;
  readonly args: readonly Buffer[];
}

/** What came of a call of a group: its answers, its fault, or undefined when it was not run. */
export type GroupOutcome = readonly Buffer[] | DeviceFault | undefined;

/** Calls that run one after the other, told of together. */
export interface RunningGroup {
  /** One for each call, in their order. What it rejects with has cost all of them. */
  readonly outcomes: Promise<readonly GroupOutcome[]>;
  /** Sees to it that a call is not run. @returns Whether it is not, and never will be: false once it has begun. */
  revoke(at: number): boolean;
}

/** Calls in a group at most. */
export const mostInGroup = 8;
/** Groups that a session is given at most: one runs, one waits. */
export const mostGroups = 2;

export interface DeviceSession {
  /**
   * One call at a time for each session; answered at once by a program that calls its library on the process's only thread.
   * Arguments and answers are byte strings; small numbers are encoded in them by the program. `args` are the call's own memory
   * until it has ended; then the host wipes them, and wipes the answers once they are written. Answers must not be shared, and
   * not be kept but for memory that the session's next call writes anew.
   */
  call(operation: string, args: readonly Buffer[]): readonly Buffer[] | Promise<readonly Buffer[]>;
  /** Whether calls of this operation are given to {@link runGroup} instead of {@link call}. */
  runsInGroups?(operation: string): boolean;
  /**
   * Runs calls one after the other, for a program that checks several answers at once before it gives any of them out, or whose
   * library computes in a thread of the session's own. No {@link call} runs meanwhile.
   *
   * @param calls - One to {@link mostInGroup}. The group begins when the one before it has ended. A program may end it early: what
   *   it has not run is given to it again, or revoked if a fault has ended the session.
   */
  runGroup?(calls: readonly GroupCall[]): RunningGroup;
  /** Gives rights back and closes the session; exclusive as openSession is. Also called after faults that evict. */
  close(): Promise<void>;
}
