import { CodedError, type ErrorDetails } from "../crypto/coded-error.ts";

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
  INSTANCE_ABSENT: { exit: 2, meaning: "there is no database instance in this folder" },
  INSTANCE_BUSY: { exit: 1, meaning: "another process serves the instance, or changes its keys" },
  INSTANCE_DAMAGED: { exit: 5, meaning: "a file of the instance's folder does not hold what was written to it" },
  INSTANCE_KEY_ABSENT: {
    exit: 3,
    meaning: "the instance key is neither in its file nor under the configured master key",
  },
  BACKUP_DAMAGED: { exit: 5, meaning: "the backup is cut, altered, or not one" },
  INFLUXD_UNUSABLE: { exit: 1, meaning: "influxd is missing, is not of version 1.x, or does not start" },
  LISTEN_FAILED: {
    exit: 1,
    meaning: "clients cannot connect where they are to: the address is taken or not this machine's",
  },
} as const;

export type DatabaseErrorCode = keyof typeof databaseErrors;

export class DatabaseError extends CodedError<DatabaseErrorCode> {
  override readonly name = "DatabaseError";

  constructor(code: DatabaseErrorCode, message?: string, details?: ErrorDetails) {
    super(databaseErrors, code, message, details);
  }
}
