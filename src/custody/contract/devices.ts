import type { Caller } from "../service.ts";

/** A device of `devices.toml` as the running key manager knows it. */
export interface DeviceStateDescription {
  readonly name: string;
  readonly kind: "sdf" | "pkcs11" | "aws-kms" | "set";
  /** Path of the vendor's library; null for those that have none. */
  readonly library: string | null;
  /** Of a failover set. */
  readonly members: readonly string[];
  readonly state: "ready" | "degraded" | "locked" | "down";
  readonly detail: string;
  /** `changed`: what an administrator trusted is in force, but another file lies there now. */
  readonly trust: "trusted" | "changed";
  /** The list says which bytes the library must have. */
  readonly pinned: boolean;
  /** Sessions that are open; 0 of a device that is not open, or has none. */
  readonly sessions: number;
  /** Calls that wait for a session. */
  readonly queue: number;
  /** Too many calls failed one after the other: it is left alone for a while. */
  readonly breakerOpen: boolean;
  /** Uses by operations on its keys since the key manager started. */
  readonly uses: number;
  /** How many of them failed, by the kind of failure. */
  readonly failures: Readonly<Record<string, number>>;
  /** Processes that were started for its library since. */
  readonly processStarts: number;
  readonly lastError: Readonly<Record<"kind" | "code" | "message", string>> | null;
}

/** The devices as this process's own monitoring sees them. */
export interface ObservedDevices {
  /** `untrusted`: there is a list that is not in force. */
  readonly trust: "trusted" | "changed" | "untrusted";
  /** Empty unless a list is in force. */
  readonly devices: readonly DeviceStateDescription[];
}

/** Cards and tokens that master keys live in. */
export interface CustodyDeviceOperations {
  /** Opens none that is not open already. */
  list(caller: Caller): Promise<readonly DeviceStateDescription[]>;
  /** For this process's own metrics: no caller, no record, no secrets, and no device is opened. */
  observed(): Promise<ObservedDevices>;
  /**
   * Has the key manager use `devices.toml` as it lies in the data folder, if its SHA-256 (hex) is the one given: the file that
   * an administrator has looked at. Takes effect at once.
   *
   * @returns The names of the devices.
   */
  trust(caller: Caller, sha256: string): Promise<readonly string[]>;
}
