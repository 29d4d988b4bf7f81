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

/** A call whose answers are kept back until they are confirmed. */
export interface HeldCall {
  readonly operation: string;
  readonly args: readonly Buffer[];
  readonly answers: readonly Buffer[];
}

export interface DeviceSession {
  /**
   * One call at a time for each session; answered at once by a program that calls its library on the process's only thread.
   * Arguments and answers are byte strings; small numbers are encoded in them by the program. `args` are the call's own memory
   * until it has ended; then the host wipes them, and wipes the answers once they are written. Answers must not be shared, and
   * not be kept but for memory that the session's next call writes anew.
   */
  call(operation: string, args: readonly Buffer[]): readonly Buffer[] | Promise<readonly Buffer[]>;
  /** Whether the answers of this operation leave only once {@link confirm} has said that they may. */
  mustConfirm?(operation: string): boolean;
  /**
   * Looks, after these calls have ended, whether their answers are what was asked for. Runs as a call does.
   *
   * @param held - At most eight.
   * @returns For each call a fault, which its caller gets instead of the answers, or undefined. What it throws counts for all.
   */
  confirm?(held: readonly HeldCall[]): Promise<readonly (DeviceFault | undefined)[]>;
  /** Gives rights back and closes the session; exclusive as openSession is. Also called after faults that evict. */
  close(): Promise<void>;
}
