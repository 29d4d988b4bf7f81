import type { Caller } from "../service.ts";

/** What a launcher says of itself with each request for its node's data key. */
export interface LeaseStatement {
  /** It asks again this often, and stops the node when it is refused: 1 to 86 400. */
  readonly seconds: number;
  /** UUID of this one start of the node. */
  readonly launch: string;
}

/** Bounds of {@link LeaseStatement.seconds}. */
export const leaseBounds = { minSeconds: 1, maxSeconds: 86_400 } as const;
/** A UUID in small letters, as `crypto.randomUUID` makes them. */
export const launchPattern: RegExp = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * - `held`: the last check is at most two intervals old, and was answered with the key.
 * - `lapsed`: it is older: the launcher was killed, is cut off, or was stopped without a word.
 * - `refused`: the last check was refused; a launcher stops its node then.
 * - `released`: the launcher said that it has stopped the node.
 * - `none`: a key was released outside of any lease: nothing takes it back, a running node keeps it until it stops.
 */
export type LeaseState = "held" | "lapsed" | "refused" | "released" | "none";

/** What holds a node to the key manager's word, as the audit chain tells it. What a launcher says is not proven. */
export interface LeaseDescription {
  readonly state: LeaseState;
  /** Time between two checks; null for `none`. */
  readonly seconds: number | null;
  /** Which start of the node this is; null for `none`. */
  readonly launch: string | null;
  /** The key by which the data key was released. */
  readonly keyId: string | null;
  /** The last check of this launch; of `none` the last release. */
  readonly checkedAt: string;
  /** How long ago that was when this was asked. */
  readonly checkedSecondsAgo: number;
  /** When a key was last released to the node outside of the lease, if that was since the lease began. */
  readonly alsoWithoutLeaseAt: string | null;
  /** Launches of this node that hold a lease at the same time. More than one: its identity is used in two places. */
  readonly launchesHeld: number;
}

export interface NodeLease {
  /** Name of the node. */
  readonly node: string;
  readonly lease: LeaseDescription;
}

export interface LeasesInForce {
  /** Of the nodes to which a key was released, among the records that were looked at. */
  readonly leases: readonly NodeLease[];
  /** Time of the first record that was looked at; null when that is all of the chain. */
  readonly since: string | null;
}

export interface LeaseOperations {
  /** What the audit chain says of every node's lease, at this moment. Asks for the right to list nodes. */
  list(caller: Caller): Promise<LeasesInForce>;
  /**
   * For the server itself: the same of what it has taken in so far, without a record. What it shows of it to a caller, the
   * caller must be allowed to read.
   */
  current(): readonly NodeLease[];
  /** A node's launcher says that it has stopped the node of this launch. Of its own node only, and believed of no other. */
  release(caller: Caller, launch: string): Promise<void>;
}
