/**
 * Every way a custody operation can fail: HTTP status on the native door, exit code of the command line, meaning.
 * Codes are API; docs/errors.md is kept equal to this table by a test.
 */
export const custodyErrors = {
  ACCESS_DENIED: { status: 403, exit: 3, meaning: "the principal may not do this with this key under this context" },
  ALIAS_EXISTS: { status: 409, exit: 1, meaning: "the alias points at a key already" },
  ALIAS_NOT_FOUND: { status: 404, exit: 1, meaning: "there is no such alias" },
  GRANT_NOT_FOUND: { status: 404, exit: 1, meaning: "there is no such grant on this key" },
  INPUT_INVALID: { status: 400, exit: 2, meaning: "an argument is missing, malformed or out of range" },
  KEY_DISABLED: { status: 409, exit: 3, meaning: "the master key is disabled" },
  KEY_NOT_FOUND: { status: 404, exit: 1, meaning: "there is no master key of that id, alias or ARN" },
  KEY_STATE_INVALID: { status: 409, exit: 1, meaning: "the master key's state does not allow this" },
  KEY_USAGE_INVALID: { status: 400, exit: 2, meaning: "the master key is for another usage" },
  LEGACY_REFUSED: { status: 403, exit: 3, meaning: "the cipherDataKey is not registered, or does not decrypt" },
  PRINCIPAL_EXISTS: { status: 409, exit: 1, meaning: "a principal of that name exists" },
  PRINCIPAL_NOT_FOUND: { status: 404, exit: 1, meaning: "there is no principal of that name" },
  RECORD_NOT_WRITTEN: {
    status: 503,
    exit: 1,
    meaning: "the audit record could not be made durable, so nothing was done",
  },
  STATE_ROLLED_BACK: { status: 500, exit: 5, meaning: "the store is older than a checkpoint kept elsewhere" },
  STATE_TAMPERED: { status: 500, exit: 5, meaning: "a row of the store, or the audit chain, does not authenticate" },
  STORE_LOCKED: { status: 503, exit: 1, meaning: "another process holds the data folder" },
  STORE_UNUSABLE: { status: 503, exit: 1, meaning: "the data folder or its store cannot be read or written" },
  TOKEN_REFUSED: { status: 403, exit: 3, meaning: "the enrolment token is unknown, used, expired or for another name" },
  WRAP_REFUSED: {
    status: 403,
    exit: 3,
    meaning: "the wrapped key does not open: altered, another context or another key",
  },
} as const;

export type CustodyErrorCode = keyof typeof custodyErrors;

export class CustodyError extends Error {
  override readonly name = "CustodyError";
  readonly code: CustodyErrorCode;

  constructor(code: CustodyErrorCode, message: string = custodyErrors[code].meaning, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }

  /** The command line's exit code for this failure. */
  get exitCode(): number {
    return custodyErrors[this.code].exit;
  }

  /** The native door's HTTP status for this failure. */
  get status(): number {
    return custodyErrors[this.code].status;
  }
}
