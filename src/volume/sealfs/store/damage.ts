import { FsError } from "../fs-error.ts";

/**
 * Told of whatever is not as it was sealed, once for each time it is met.
 *
 * @param fileId - 16 bytes, lent for the call.
 * @param what - Names places, never content.
 */
export type ReportDamage = (fileId: Buffer, what: string) => void;

/** What a file has that is not as it was sealed: reports it and makes the error to throw. */
export function damage(report: ReportDamage, fileId: Buffer, what: string): FsError {
  report(fileId, what);
  return new FsError("EIO", what);
}
