import type { SecretBuffer } from "../../crypto/secret-buffer.ts";

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

export interface DeviceSession {
  /**
   * One call at a time for each session. Arguments and answers are byte strings; small numbers are encoded in them by the
   * program. `args` are the call's own memory until its promise settles; then the host wipes them, and wipes the answers
   * once they are written. Answers must not be kept or shared.
   */
  call(operation: string, args: readonly Buffer[]): Promise<readonly Buffer[]>;
  /** Gives rights back and closes the session; exclusive as openSession is. Also called after faults that evict. */
  close(): Promise<void>;
}
