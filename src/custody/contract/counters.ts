import type { Caller } from "../service.ts";

/** A counter's name: 1 to 128 small letters, digits and `._:/-`, beginning with a letter or digit. */
export const counterNamePattern: RegExp = /^[a-z0-9][a-z0-9._:/-]{0,127}$/;
/** 64 hex digits in small letters: the caller's digest of the state that a value stands for. */
export const counterStampPattern: RegExp = /^[0-9a-f]{64}$/;
/** A node keeps a counter for each thing that must not go back; it has few of them. */
export const maxCountersOfNode = 16;

/** What a counter stands at. */
export interface CounterStanding {
  /** Whole number, 1 to 2^53 - 1. */
  readonly value: number;
  /** See {@link counterStampPattern}. */
  readonly stamp: string;
}

export interface CounterDescription extends CounterStanding {
  /** When it was brought to this value. */
  readonly advancedAt: string;
}

export interface NodeCounter extends CounterDescription {
  /** Name of the node that it belongs to. */
  readonly node: string;
  readonly name: string;
}

export interface AdvanceCounterInput {
  readonly name: string;
  /** What the caller believes that it stands at; null for a counter that is not there yet. */
  readonly previous: CounterStanding | null;
  readonly next: CounterStanding;
}

/**
 * Counters that only go up, kept where a node's own disk cannot take them back. A node has its own, and sees no other's.
 *
 * {@link advance} compares and sets: from `previous` to a higher `next`, durable and on record before it answers. A counter
 * that stands at `next` already, stamp included, is left there, so a lost answer can be asked for again. All else is
 * `COUNTER_CONFLICT`, and changes nothing.
 */
export interface CounterOperations {
  /** Of the node that calls. A new counter above the sixteenth is `LIMIT_EXCEEDED`. */
  advance(caller: Caller, input: AdvanceCounterInput): Promise<CounterStanding>;
  /** Of the node that calls; null for a counter that is not there. */
  read(caller: Caller, name: string): Promise<CounterDescription | null>;
  /** Of one node or of all, by node and name; for administrators and auditors. */
  list(caller: Caller, node?: string): Promise<readonly NodeCounter[]>;
  /** Removes a counter: the node's next `advance` begins it anew, at any value. For administrators. */
  reset(caller: Caller, node: string, name: string): Promise<void>;
}
