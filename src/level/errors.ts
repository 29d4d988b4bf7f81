/**
 * Every way an encrypted level can fail beyond what abstract-level itself reports. Codes are API; messages are for people
 * and never carry a key, a value, or a key name that is stored encrypted. docs/formats-level.md lists them.
 */
export const levelErrors = {
  LEVEL_CORRUPTION: "a stored value, key name or header is altered, cut, moved, or from another store",
  LEVEL_WRONG_KEY: "the data key is not this store's",
  LEVEL_KEY_MISSING: "a data key that is needed was not given, or was wiped before the store was opened",
  LEVEL_PLAIN_DATABASE: "the database holds entries but no header: it is not an encrypted level",
  LEVEL_SETTING_MISMATCH: "the suite or the treatment of key names differs from what the store's header records",
  LEVEL_NOT_SUPPORTED: "the operation needs an order of keys, or an ability that the base database lacks",
  LEVEL_DATABASE_NOT_OPEN: "the database is not open",
  LEVEL_ROTATION_ACTIVE: "a data-key rotation is already under way",
  LEVEL_ROTATION_STOPPED: "the database was closed before the data-key rotation was finished",
} as const;

export type LevelErrorCode = keyof typeof levelErrors;

export class LevelError extends Error {
  override readonly name = "LevelError";
  readonly code: LevelErrorCode;

  constructor(code: LevelErrorCode, message: string = levelErrors[code], cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
