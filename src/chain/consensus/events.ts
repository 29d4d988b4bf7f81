/**
 * All that goes into a replica and all that comes out. A replica does no I/O and has no clock: whoever drives it performs the
 * effects in their order and answers those that have an `id` by an event with the same `id`.
 */
import type { FinalBlock, Receipt, StateWrite } from "../ledger/types.ts";
import type { GuardRecord } from "./guard-record.ts";
import type { Vote } from "./vote.ts";

/** `view`: no block in time. `propose`: a block is due. `resend`: say again what may have been lost. `sync`: a peer did not answer. */
export type TimerName = "view" | "propose" | "resend" | "sync";

export type ReplicaEvent =
  /** Begin: sent once, first. */
  | { readonly kind: "start"; readonly nowMs: number }
  /** A frame from an authenticated peer; `from` is the peer's index in the list of sealers. */
  | { readonly kind: "message"; readonly from: number; readonly bytes: Buffer; readonly nowMs: number }
  /** A transaction of this node's own client, encoded. Answered by `submitted` or `submission-refused`. */
  | { readonly kind: "submit"; readonly id: number; readonly bytes: Buffer; readonly nowMs: number }
  /** The record of a `guard` effect is on the disk, synced. */
  | { readonly kind: "guard-stored"; readonly id: number; readonly nowMs: number }
  /** The record could not be stored: the replica halts and signs nothing more. */
  | { readonly kind: "guard-failed"; readonly id: number; readonly nowMs: number }
  /** r ‖ s of the device, 64 bytes. */
  | { readonly kind: "signed"; readonly id: number; readonly signature: Buffer; readonly nowMs: number }
  /** `mayHaveSigned`: the request reached the device and its outcome is unknown; that vote is then never asked for again. */
  | { readonly kind: "sign-failed"; readonly id: number; readonly mayHaveSigned: boolean; readonly nowMs: number }
  /** What the device gave is no signature of this node's key: the replica halts and signs nothing more. */
  | { readonly kind: "signed-by-another"; readonly id: number; readonly nowMs: number }
  | { readonly kind: "timer"; readonly name: TimerName; readonly token: number; readonly nowMs: number };

/** Two different votes of one sealer for one slot, both validly signed: proof that it cheated. */
export interface Equivocation {
  readonly first: Vote;
  readonly second: Vote;
}

export type ReplicaEffect =
  /** To one sealer by index, or to all others. Loss is allowed. */
  | { readonly kind: "send"; readonly to: number | "all"; readonly bytes: Buffer }
  /** Store the record durably, then answer `guard-stored` or `guard-failed`. Encode by `encodeGuardRecord`. */
  | { readonly kind: "guard"; readonly id: number; readonly record: GuardRecord }
  /** Sign `digest` with the node key, once, then answer `signed` or `sign-failed`. Only ever follows the vote's `guard-stored`. */
  | { readonly kind: "sign"; readonly id: number; readonly digest: Buffer }
  /** Replaces a timer of the same name. At its end: a `timer` event with the same token. */
  | { readonly kind: "set-timer"; readonly name: TimerName; readonly token: number; readonly delayMs: number }
  | { readonly kind: "clear-timer"; readonly name: TimerName }
  /** A block is final. Store block, receipts and writes in one durable batch; blocks come in the order of their heights. */
  | {
      readonly kind: "store-block";
      readonly block: FinalBlock;
      readonly receipts: readonly Receipt[];
      readonly writes: readonly StateWrite[];
    }
  /** Peer `to` asks for `count` blocks from `fromHeight`: read what is there and send them by `encodeBlocks`. */
  | { readonly kind: "serve-blocks"; readonly to: number; readonly fromHeight: number; readonly count: number }
  | { readonly kind: "submitted"; readonly id: number; readonly hash: Buffer }
  | { readonly kind: "submission-refused"; readonly id: number; readonly reason: string; readonly full: boolean }
  /** A peer sent what no honest one sends: count it, perhaps disconnect. `reason` names no content. */
  | { readonly kind: "misbehaviour"; readonly peer: number; readonly reason: string }
  | { readonly kind: "equivocation"; readonly evidence: Equivocation }
  /** For the log. */
  | { readonly kind: "entered-view"; readonly height: number; readonly view: number }
  /** The replica signs nothing more; it still follows the chain. */
  | { readonly kind: "halted"; readonly reason: string };
