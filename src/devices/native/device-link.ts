import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { FaultFacts } from "./fault.ts";

/** What comes back from a device's process. Nothing comes after `ended`. */
export interface LinkEvents {
  opened(info: Readonly<Record<string, string | number | boolean>>): void;
  /** The device does not open. The process ends by itself. */
  failed(fault: FaultFacts): void;
  /** No call runs now, and none will be started until the next session is opened or closed. */
  alone(): void;
  sessionOpened(slot: number): void;
  sessionFailed(slot: number, fault: FaultFacts): void;
  sessionClosed(slot: number): void;
  answered(id: number, answers: readonly Buffer[]): void;
  faulted(id: number, fault: FaultFacts): void;
  /** The call was never started and never will be. */
  revoked(id: number): void;
  /** Sessions and device are closed; the process ends by itself. */
  closed(): void;
  /** The process is gone. */
  ended(exitCode: number | null, signal: NodeJS.Signals | null): void;
}

/** One process with one device in it. */
export interface DeviceLink {
  readonly pid: number;
  openSession(slot: number): void;
  closeSession(slot: number): void;
  call(id: number, slot: number, operation: string, args: readonly Buffer[]): void;
  revoke(id: number): void;
  close(): void;
  kill(): void;
}

/** Starts a process and has it open the device. `pin` is lent until `opened`, `failed` or `ended`. */
export type StartLink = (events: LinkEvents, pin: SecretBuffer | undefined) => DeviceLink;

/** Time and chance, so that tests can have their own. */
export interface Surroundings {
  nowMs(): number;
  /** Runs once; the function that comes back calls it off. */
  after(milliseconds: number, run: () => void): () => void;
  /** From 0 up to, but not, 1. */
  random(): number;
}

export const realSurroundings: Surroundings = {
  nowMs: () => performance.now(),
  after: (milliseconds, run) => {
    const timer = setTimeout(run, milliseconds);
    return () => clearTimeout(timer);
  },
  random: Math.random,
};
