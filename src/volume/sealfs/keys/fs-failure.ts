import { type ErrnoName, FsError } from "../fs-error.ts";
import { KeyTableError, type KeyTableErrorCode } from "./errors.ts";

const answers: Partial<Record<KeyTableErrorCode, ErrnoName>> = {
  PRIVATE_KEY_ABSENT: "ENOKEY",
  GENERATION_ABSENT: "ENOKEY",
  ZONE_ABSENT: "ENOKEY",
  KEY_TABLE_LIMIT: "ENOSPC",
  KEY_TABLE_READ_ONLY: "EROFS",
};
const passedOn = ["ENOSPC", "EDQUOT", "EROFS", "ENOMEM", "EMFILE"] as const satisfies readonly ErrnoName[];

/** What a program is answered with when a key could not be had or kept. Errors of other kinds pass as they are. */
export function asFsError(error: unknown): unknown {
  if (!(error instanceof KeyTableError)) return error;
  const { code: systemCode } = (error.cause ?? {}) as NodeJS.ErrnoException;
  const name = answers[error.code] ?? passedOn.find((known) => known === systemCode) ?? "EIO";
  return new FsError(name, `${error.code}: ${error.message}`, { cause: error });
}
