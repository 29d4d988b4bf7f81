/**
 * Every way that the encrypted database and its tools can fail, with the exit code of the command that ran it. Codes are API; messages are for
 * people, name the thing and what to do, and never carry a secret.
 */
export const databaseErrors = {
  SETTINGS_INVALID: {
    exit: 2,
    meaning: "a setting is unknown, missing, of the wrong form, or contradicts another",
  },
  PUBLIC_KEY_INVALID: { exit: 2, meaning: "the text is not an SM2 public key, 04, X and Y in 130 hex digits" },
  PINCODE_INVALID: { exit: 2, meaning: "the pincode is empty, too long, or cannot be read where it is said to be" },
  PRIVATE_KEY_REFUSED: {
    exit: 3,
    meaning: "the private key does not open: wrong pincode, another public key, or an altered or malformed private key",
  },
  MASTER_KEY_MISMATCH: { exit: 3, meaning: "the sub-keys are enveloped to another master key than was given" },
  ENVELOPE_REFUSED: {
    exit: 5,
    meaning: "a sub-key's envelope does not open under the master key it is said to be for",
  },
  ENVELOPE_TABLE_ABSENT: { exit: 2, meaning: "there is no key table at this place" },
  ENVELOPE_TABLE_BUSY: { exit: 1, meaning: "another process has the key table open" },
  ENVELOPE_TABLE_DAMAGED: { exit: 5, meaning: "the key table does not hold what was written to it" },
} as const;

export type DatabaseErrorCode = keyof typeof databaseErrors;

export class DatabaseError extends Error {
  override readonly name = "DatabaseError";
  readonly code: DatabaseErrorCode;
  /** 1 other failure, 2 usage, 3 refused, 5 integrity failure. */
  readonly exitCode: number;
  /** What to type or change. */
  readonly hint: string | undefined;

  constructor(
    code: DatabaseErrorCode,
    message: string = databaseErrors[code].meaning,
    { hint, cause }: { readonly hint?: string; readonly cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.exitCode = databaseErrors[code].exit;
    this.hint = hint;
  }
}
