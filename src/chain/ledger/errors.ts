/** Every way a call into `src/chain/ledger` or `src/chain/consensus` can fail. Codes are API; messages are for people. */
export const ledgerErrors = {
  ENCODING_INVALID: "the bytes are not in the chain's encoding",
  TRANSACTION_REFUSED:
    "the transaction does not fit this chain, is stale, was seen before or is not signed by its sender",
  BLOCK_REFUSED: "the block does not follow the chain's head or its contents do not give what its header says",
  PROOF_REFUSED: "too few sealers have signed, or a signature is not its sealer's",
  LEDGER_DAMAGED: "what the store holds does not belong together: restore it, or synchronise from the other nodes",
  GENESIS_INVALID: "the genesis does not describe a chain",
  SIGNATURE_UNUSABLE: "the signing device answered with something that is not a signature of its key",
  GUARD_DAMAGED: "the double-sign guard's records are not in their format",
} as const;

export type LedgerErrorCode = keyof typeof ledgerErrors;

export class LedgerError extends Error {
  override readonly name = "LedgerError";
  readonly code: LedgerErrorCode;

  constructor(code: LedgerErrorCode, message: string = ledgerErrors[code], cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }

  /** The command line's exit code: 5 for what is damaged. */
  get exitCode(): number {
    return this.code === "LEDGER_DAMAGED" || this.code === "GUARD_DAMAGED" ? 5 : 1;
  }
}
