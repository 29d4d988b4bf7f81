import type { DeviceFaultKind } from "../errors.ts";
import { DeviceFault, type FaultFacts } from "./fault.ts";

function fault(kind: DeviceFaultKind, code: string, message: string, retryable?: boolean): FaultFacts {
  return new DeviceFault({ kind, code, message, evict: false, ...(retryable === undefined ? {} : { retryable }) });
}

/** Faults that the pool itself reports, for a device of this name. */
export const callFaults = {
  queueFull: (name: string, calls: number) =>
    fault("busy", "QUEUE_FULL", `${calls} calls wait for ${name} already; this one was not sent`),
  bytesFull: (name: string, bytes: number) =>
    fault("busy", "QUEUE_FULL", `calls of ${bytes} bytes are with ${name} already; this one was not sent`),
  noSession: (name: string, waitedMs: number, last: FaultFacts | undefined) =>
    fault(
      "busy",
      "NO_SESSION",
      `no session of ${name} was free within ${waitedMs} ms; the call was not sent${lastly(last)}`,
    ),
  breakerOpen: (name: string, last: FaultFacts | undefined) =>
    fault("busy", "BREAKER_OPEN", `${name} failed too often and is left alone for a while${lastly(last)}`),
  aborted: (name: string, sent: boolean) =>
    fault(
      "timeout",
      "ABORTED",
      sent
        ? `the caller gave up a call that ${name} may carry out all the same`
        : `the caller gave up before the call was sent to ${name}`,
    ),
  closing: (name: string) => fault("device", "CLOSING", `${name} is being closed; the call was not sent`, false),
  down: (name: string, last: FaultFacts | undefined) =>
    fault("device", "DOWN", `the process of ${name} ended too often and is not started again${lastly(last)}`, false),
  tooLarge: (name: string, bytes: number, mostBytes: number) =>
    fault("bad-input", "TOO_LARGE", `a call of ${bytes} bytes for ${name} exceeds ${mostBytes} bytes`),
  openDeadline: (name: string, deadlineMs: number) =>
    fault("timeout", "OPEN_DEADLINE", `${name} was not open after ${deadlineMs} ms`),
  processEnded: (name: string, exitCode: number | null, signal: NodeJS.Signals | null) =>
    fault(
      "device",
      "PROCESS_ENDED",
      `the process of ${name} ended by ${
        signal === null ? `exit code ${exitCode}` : signal
      }: its library crashed, ended it, or was killed`,
    ),
  /** For a call that was with the process when it ended. */
  lostWithProcess: (cause: FaultFacts) =>
    fault(cause.kind, cause.code, `${cause.message}; whether the call was done is not known`),
} as const;

const badEnds: ReadonlySet<string> = new Set(["PROCESS_ENDED", "OPEN_DEADLINE", "HUNG", "NO_ANSWER"]);

/** Whether a process ended by this died or hung, instead of saying that its device can't be opened. */
export function endsProcessBadly({ code }: FaultFacts): boolean {
  return badEnds.has(code);
}

/** Whether the device has refused the PIN. */
export function isRefusal({ kind }: Pick<FaultFacts, "kind">): boolean {
  return kind === "auth" || kind === "locked-out";
}

function lastly(last: FaultFacts | undefined): string {
  return last === undefined ? "" : `; last: ${last.message} (${last.code})`;
}
