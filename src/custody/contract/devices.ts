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
}

/** Cards and tokens that master keys live in. */
export interface CustodyDeviceOperations {
  /** Opens none that is not open already. */
  list(caller: Caller): Promise<readonly DeviceStateDescription[]>;
  /**
   * Has the key manager use `devices.toml` as it lies in the data folder, if its SHA-256 (hex) is the one given: the file that
   * an administrator has looked at. Takes effect at once.
   *
   * @returns The names of the devices.
   */
  trust(caller: Caller, sha256: string): Promise<readonly string[]>;
}
