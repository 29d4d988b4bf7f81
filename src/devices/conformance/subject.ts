import type { CryptoDevice, DeviceKeyChoice } from "../device.ts";

/** A device that is to be proven, and which of its keys may be used for it. */
export interface ConformanceSubject {
  readonly name: string;
  readonly kind: string;
  /** The device's own account of itself. */
  readonly info: Readonly<Record<string, string | number | boolean>>;
  readonly device: CryptoDevice;
  /** Sessions that may work at once. */
  readonly sessions: number;
  /** Keys that wrap; empty: the device makes one. */
  readonly wrappingKeys: readonly DeviceKeyChoice[];
  /** Key pairs that sign; empty: the device makes one of each spec. */
  readonly signingKeys: readonly DeviceKeyChoice[];
  /** A key that is not in the device. */
  readonly absentKey: DeviceKeyChoice;
}
