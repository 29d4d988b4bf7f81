import { FsError } from "../fs-error.ts";

/**
 * Told of whatever is not as it was sealed, once for each time it is met.
 *
 * @param fileId - 16 bytes, lent for the call.
 * @param what - Names places, never content.
 * @param outcome - `refused`: who asked got an error; `recovered`: what a crash left was settled, and the file is as it was before.
 */
export type ReportDamage = (fileId: Buffer, what: string, outcome: "refused" | "recovered") => void;

/** What a file has that is not as it was sealed: reports it and makes the error to throw. */
export function damage(report: ReportDamage, fileId: Buffer, what: string): FsError {
  report(fileId, what, "refused");
  return new FsError("EIO", what);
}
