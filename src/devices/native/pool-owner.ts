import type { Surroundings } from "./device-link.ts";
import type { FaultFacts } from "./fault.ts";
import type { PendingCall } from "./pending-call.ts";
import type { PoolSettings } from "./pool-settings.ts";

/** What a pool tells the device it belongs to. */
export interface PoolOwner {
  readonly settings: PoolSettings;
  readonly surroundings: Surroundings;
  /** Calls that wait; the pool takes from the front, and puts back there what was never started. */
  readonly queue: PendingCall[];
  answered(call: PendingCall, answers: readonly Buffer[]): void;
  faulted(call: PendingCall, fault: FaultFacts): void;
  /** A call that nobody waits for any more ends without having reached the library. */
  unsent(call: PendingCall): void;
  sessionOpened(sessions: number): void;
  sessionFailed(fault: FaultFacts): void;
  sessionClosed(sessions: number, fault: FaultFacts | undefined): void;
  sessionAbandoned(operation: string, abandoned: number): void;
  /** The process is of no more use: kill it. */
  giveUp(fault: FaultFacts): void;
  /** The pool's sweep is due at this time at the latest. */
  due(atMs: number): void;
}
