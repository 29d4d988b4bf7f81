import { CodedError } from "../../../crypto/coded-error.ts";

/**
 * Every way the key table of a sealed file system can fail, with the exit code of the command that ran it. Codes are API;
 * messages are for people, name the file or the zone by its id, and never carry a key.
 */
export const keyTableErrors = {
  KEY_TABLE_ABSENT: { exit: 1, meaning: "there is no key table at this place" },
  KEY_TABLE_EXISTS: { exit: 1, meaning: "there is a key table at this place already" },
  KEY_TABLE_DAMAGED: { exit: 5, meaning: "the key table is cut, altered, or of an unknown format" },
  KEY_TABLE_WRONG_KEY: { exit: 5, meaning: "the table key or the master key is not this key table's" },
  KEY_TABLE_ROLLED_BACK: { exit: 5, meaning: "the key table is older than the state that was anchored" },
  KEY_TABLE_BROKEN: { exit: 1, meaning: "an earlier write to the key table failed; it must be opened again" },
  KEY_TABLE_LIMIT: { exit: 1, meaning: "the key table would hold more than it may" },
  KEY_TABLE_READ_ONLY: { exit: 1, meaning: "the key table was opened for reading only" },
  KEY_TABLE_SYSTEM: { exit: 1, meaning: "a system call on the key table failed" },
  ENVELOPE_REFUSED: { exit: 5, meaning: "a wrapped key does not open under this key" },
  PRIVATE_KEY_ABSENT: { exit: 3, meaning: "the master private key that opens the zone's key is not configured" },
  RULE_INVALID: { exit: 2, meaning: "a zone rule has a bad pattern, or two rules match the same folders" },
  ZONE_ABSENT: { exit: 1, meaning: "there is no such zone" },
  ZONE_EXISTS: { exit: 1, meaning: "the folder is a zone already" },
  ZONE_NOT_SEALED: { exit: 1, meaning: "the zone is plain and has no keys" },
  GENERATION_ABSENT: { exit: 1, meaning: "the zone has no such key generation" },
  REKEY_INCOMPLETE: { exit: 1, meaning: "no re-keying was begun, or keys have no new envelope yet" },
  GENERATION_IN_USE: { exit: 1, meaning: "the key generation is the newest, not retired, or data is sealed under it" },
} as const;

export type KeyTableErrorCode = keyof typeof keyTableErrors;

export class KeyTableError extends CodedError<KeyTableErrorCode> {
  override readonly name = "KeyTableError";

  constructor(code: KeyTableErrorCode, message?: string, cause?: unknown) {
    super(keyTableErrors, code, message, { cause });
  }
}

/** @param why - What is wrong, in words that name no content. */
export function damaged(why: string): KeyTableError {
  return new KeyTableError("KEY_TABLE_DAMAGED", `the key table cannot be trusted: ${why}; restore it from a backup`);
}
