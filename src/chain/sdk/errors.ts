import { CodedError } from "../../crypto/coded-error.ts";

/** Every way that a chain client's call can fail. */
export const chainClientErrors = {
  ACCOUNT_UNUSABLE: { exit: 2, meaning: "the account that signs cannot be used" },
  ANSWER_INVALID: { exit: 1, meaning: "what the node answered is not an answer to the call" },
  CONFIG_UNUSABLE: { exit: 2, meaning: "the client's configuration does not fit the chain" },
  PROOF_REFUSED: { exit: 5, meaning: "the receipt is not proved by a quorum of the chain's sealers" },
  REFUSED: { exit: 3, meaning: "the node refused the call" },
  UNREACHABLE: { exit: 4, meaning: "the node does not answer" },
} as const;

export type ChainClientErrorCode = keyof typeof chainClientErrors;

/** A failure of a chain client. `rpcCode` is the node's own code of a refusal. */
export class ChainClientError extends CodedError<ChainClientErrorCode> {
  override readonly name = "ChainClientError";
  readonly rpcCode: number | undefined;

  constructor(
    code: ChainClientErrorCode,
    message?: string,
    { cause, rpcCode }: { readonly cause?: unknown; readonly rpcCode?: number } = {},
  ) {
    super(chainClientErrors, code, message, { cause });
    this.rpcCode = rpcCode;
  }
}
