import type { NativeDeviceEvent, NativeDeviceHealth } from "./device-events.ts";
import type { PoolSettings } from "./pool-settings.ts";
import type { SecretSource } from "./secret-source.ts";

export interface NativeCallOptions {
  /** How long the call may take in the library, in milliseconds. @defaultValue the pool's `callDeadlineMs` */
  readonly deadlineMs?: number;
  /** Ends the wait. A call that has reached the library is not undone by it: its outcome is then unknown. */
  readonly signal?: AbortSignal;
  /**
   * Whether the call may be sent again after it may have reached the library: true for calls whose second run does no harm.
   * @defaultValue false
   */
  readonly repeatable?: boolean;
}

/** What `NativeDevice` and a failover set of them have in common. */
export interface NativeCalls extends AsyncDisposable {
  /** As the program tells it of the library that is open. */
  readonly info: Readonly<Record<string, string | number | boolean>>;
  health(): NativeDeviceHealth;
  /**
   * Runs one operation of the program in a session.
   *
   * @param args - Not changed; may be reused by the caller when the call's promise has settled.
   * @returns Memory of the caller's own, each answer in an allocation of its own: wipe what is secret.
   * @throws {DeviceError} With `failure` set: the kind tells what happened, `failure.code` is the library's code or one of
   *   `QUEUE_FULL`, `NO_SESSION`, `BREAKER_OPEN` (kind `busy`, never sent), `DEADLINE` (kind `timeout`, outcome unknown),
   *   `PROCESS_ENDED` (kind `device`, outcome unknown), `CLOSING` (kind `device`, never sent), `ABORTED` (kind `timeout`).
   *   `DEVICE_LOCKED` without `failure` after {@link lock} or a refused PIN.
   */
  call(operation: string, args: readonly Buffer[], options?: NativeCallOptions): Promise<readonly Buffer[]>;
  /** Ends the process, forgets the PIN, and refuses all calls from then on. */
  lock(): Promise<void>;
}

export interface NativeDeviceOptions {
  /** The module that exports `program`; it is loaded in the device's process only. */
  readonly program: URL;
  /** Handed to the program as JSON, at most 1 MiB; no secrets. */
  readonly config: unknown;
  /** Read once, kept in this process's memory to open a replaced process again, wiped by `lock` and by closing. */
  readonly pin?: SecretSource;
  /** Missing settings have their defaults. */
  readonly pool?: Partial<PoolSettings>;
  /**
   * For libraries that are configured by it; no secrets. Of this process's own environment the device's gets nothing but PATH, HOME,
   * TZ, LANG and LC_*, and the folder of our own compiled code.
   */
  readonly environment?: Readonly<Record<string, string>>;
  /** Names the device in messages. @defaultValue `the device` */
  readonly name?: string;
  readonly tell?: (event: NativeDeviceEvent) => void;
}
