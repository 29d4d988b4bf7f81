import { DeviceError, deviceFaultKinds } from "../errors.ts";
import type { TellOfDevice } from "./native.ts";

/** Why a use of a device failed: what its library reported, or what kept it from being asked. A closed set, for counters. */
export const failureKinds = [...deviceFaultKinds, "locked", "other"] as const;

export type FailureKind = (typeof failureKinds)[number];

/** What is counted of one device since the key manager started. */
export interface DeviceCounts {
  /** Uses by operations on keys; one that fails counts too. */
  readonly uses: number;
  readonly failures: Readonly<Partial<Record<FailureKind, number>>>;
  /** Processes that were started for its library: each beyond the first replaces one that ended. */
  readonly processStarts: number;
  /** Too many calls failed one after the other: it is left alone for a while. */
  readonly breakerOpen: boolean;
}

interface Counting {
  uses: number;
  readonly failures: Partial<Record<FailureKind, number>>;
  processStarts: number;
  breakerOpen: boolean;
}

/** Counts what happens to devices, by the names of `devices.toml`, of which there are a few. */
export class DeviceFigures {
  readonly #byName = new Map<string, Counting>();

  used(name: string): void {
    this.#of(name).uses += 1;
  }

  failed(name: string, error: unknown): void {
    const { failures } = this.#of(name);
    const kind = kindOf(error);
    failures[kind] = (failures[kind] ?? 0) + 1;
  }

  /** Takes note of what a device with a library tells of itself: in a set, each member under its own name. */
  readonly tell: TellOfDevice = (name, { event }) => {
    const counting = this.#of(name);
    if (event === "process-started") counting.processStarts += 1;
    // A process that is replaced is asked anew.
    if (event === "breaker-opened") counting.breakerOpen = true;
    if (event === "breaker-closed" || event === "locked" || event === "down") counting.breakerOpen = false;
  };

  of(name: string): DeviceCounts {
    const counting = this.#of(name);
    return { ...counting, failures: { ...counting.failures } };
  }

  /** Forgets the devices that are named no more. */
  keepOnly(names: ReadonlySet<string>): void {
    for (const name of this.#byName.keys()) if (!names.has(name)) this.#byName.delete(name);
  }

  #of(name: string): Counting {
    return this.#byName.getOrInsertComputed(name, () => ({
      uses: 0,
      failures: {},
      processStarts: 0,
      breakerOpen: false,
    }));
  }
}

function kindOf(error: unknown): FailureKind {
  if (!(error instanceof DeviceError)) return "other";
  return error.failure?.kind ?? (error.code === "DEVICE_LOCKED" ? "locked" : "other");
}
