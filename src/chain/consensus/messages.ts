import type { Block, FinalBlock, SealerSignature, Transaction } from "../ledger/types.ts";
import type { PreparedCertificate } from "./certificate.ts";
import type { Vote } from "./vote.ts";

/** A sealer gives up the views below `view` at this height, and says what it had prepared. */
export interface ViewChange extends SealerSignature {
  readonly height: number;
  readonly view: number;
  readonly prepared: PreparedCertificate | undefined;
}

/** The proposer's pre-prepare. In a view above 0 it is the new-view as well: view changes of a quorum justify the block. */
export interface Proposal extends SealerSignature {
  readonly height: number;
  readonly view: number;
  readonly block: Block;
  /** By sealer, ascending; empty in view 0. */
  readonly justification: readonly ViewChange[];
}

export type Message =
  | { readonly kind: "proposal"; readonly proposal: Proposal }
  /** Prepare and commit. */
  | { readonly kind: "vote"; readonly vote: Vote }
  /** With the prepared block itself, which the new proposer may not have. */
  | { readonly kind: "view-change"; readonly change: ViewChange; readonly block: Block | undefined }
  /** The height of the sender's head. Not signed: it only makes a late node ask. */
  | { readonly kind: "status"; readonly height: number }
  | { readonly kind: "block-request"; readonly fromHeight: number; readonly count: number }
  | { readonly kind: "blocks"; readonly blocks: readonly FinalBlock[] }
  | { readonly kind: "transactions"; readonly transactions: readonly Transaction[] };
