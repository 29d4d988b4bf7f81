import type { RecordName } from "../ercc/registry-state.ts";

/**
 * What an enclave asks of its host in order to hear of the ledger. The answer to each is a list of byte strings, so that one
 * call out of the enclave carries them all. Nothing that comes back is believed before it is verified.
 */
export type LedgerQuestion =
  /** Answer: one protos.SerializedIdentity, in whose name the host will sign the enclave's proposals. */
  | { readonly kind: "creator" }
  /** Answer: protos.ProposalResponse of each peer that answered this protos.Proposal. */
  | { readonly kind: "endorse"; readonly proposal: Uint8Array; readonly organisations: readonly string[] }
  /** Answer: one tl_session.SessionMsg of the ledger enclave to this one. */
  | { readonly kind: "session"; readonly message: Uint8Array }
  /** Answer: the record's value as the host's peer has it, or nothing. */
  | { readonly kind: "record"; readonly name: RecordName };

/** @throws EnclaveError LEDGER_UNAVAILABLE, or what the chaincode aborted with */
export type LedgerExchange = (question: LedgerQuestion) => Promise<readonly Uint8Array[]>;
