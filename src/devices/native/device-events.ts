import type { DeviceHealth } from "../device.ts";
import type { FaultFacts } from "./fault.ts";

/** What a native device tells while it runs: for logs and counters; never secrets. */
export type NativeDeviceEvent =
  | { readonly event: "process-started"; readonly pid: number }
  /** `signal` or `exitCode` is null when the other tells. `expected`: it was asked to end. */
  | {
      readonly event: "process-ended";
      readonly pid: number;
      readonly exitCode: number | null;
      readonly signal: NodeJS.Signals | null;
      readonly expected: boolean;
    }
  | { readonly event: "session-opened"; readonly sessions: number }
  | { readonly event: "session-closed"; readonly sessions: number; readonly fault?: FaultFacts }
  /** A call did not come back in time; what it does in the library is not known. */
  | { readonly event: "session-abandoned"; readonly operation: string; readonly abandoned: number }
  | { readonly event: "breaker-opened"; readonly fault: FaultFacts }
  | { readonly event: "breaker-closed" }
  /** The PIN was refused: nothing is tried again until the device is opened anew. */
  | { readonly event: "locked"; readonly fault: FaultFacts | undefined }
  | { readonly event: "down"; readonly fault: FaultFacts };

export interface NativeDeviceHealth extends DeviceHealth {
  /** Sessions that are open and can be used. */
  readonly sessions: number;
  /** Calls that wait for a session. */
  readonly queue: number;
  /** Sessions of this process that never came back. */
  readonly abandoned: number;
  /** Times the process was replaced since the device was opened. */
  readonly restarts: number;
  readonly lastError?: FaultFacts;
}

/** The health of a device whose process runs and has been open. */
export function stateOfReady(
  facts: Pick<NativeDeviceHealth, "sessions" | "queue" | "abandoned">,
  minSessions: number,
  breakerOpen: boolean,
): Pick<DeviceHealth, "state" | "detail"> {
  const { sessions, queue, abandoned } = facts;
  const detail = `${counted(sessions, "session")}, ${counted(queue, "call")} ${queue === 1 ? "waits" : "wait"}`;
  if (breakerOpen) return { state: "degraded", detail: `failed too often; ${detail}` };
  if (sessions === 0) return { state: "down", detail: "no session is open" };
  return { state: abandoned === 0 && sessions >= minSessions ? "ready" : "degraded", detail };
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
