import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { CustodyError } from "../errors.ts";

/** sqlite.org/rescode.html. What this program writes breaks no constraint and no type of its own tables. */
const codes = { error: 1, corrupt: 11, constraint: 19, mismatch: 20, notADatabase: 26 } as const;
const damagedWhenUsed: ReadonlySet<number> = new Set([
  codes.corrupt,
  codes.constraint,
  codes.mismatch,
  codes.notADatabase,
]);

/**
 * Runs one access to an open SQLite store.
 *
 * @throws {CustodyError} `STATE_TAMPERED` for what SQLite calls malformed: it was cut or altered since it was written.
 */
export function accessing<T>(access: () => T): T {
  try {
    return access();
  } catch (cause) {
    if (!damagedWhenUsed.has(resultCode(cause))) throw cause;
    throw new CustodyError("STATE_TAMPERED", `the store is damaged: ${firstLine(cause)}`, cause);
  }
}

/** What a failure to open the store's file means: damaged, or unusable for another reason. */
export function openingFailure(path: string, cause: unknown): CustodyError {
  if (cause instanceof CustodyError) return cause;
  // A table or column that is missing is a plain error.
  if (damagedWhenUsed.has(resultCode(cause)) || resultCode(cause) === codes.error)
    return new CustodyError("STATE_TAMPERED", `the store ${path} is damaged: ${firstLine(cause)}`, cause);
  const reason = diskIsFull(path) ? "its disk is full" : firstLine(cause);
  return new CustodyError("STORE_UNUSABLE", `the store ${path} cannot be opened: ${reason}`, cause);
}

type Row = Readonly<Record<string, unknown>>;

/** A damaged page can hold another type than the table says; whether a value is the right one, its MAC tells. */
export function textOf(row: Row, column: string): string {
  const value = row[column];
  return typeof value === "string" ? value : wrongType(column);
}

export function numberOf(row: Row, column: string): number {
  const value = row[column];
  return typeof value === "number" ? value : wrongType(column);
}

export function bytesOf(row: Row, column: string): Uint8Array {
  const value = row[column];
  return value instanceof Uint8Array ? value : wrongType(column);
}

function wrongType(column: string): never {
  throw new CustodyError("STATE_TAMPERED", `the store is damaged: a ${column} is not of the type it was written as`);
}

/** SQLite's primary result code, or 0 for another error. */
function resultCode(cause: unknown): number {
  return cause instanceof Error && "errcode" in cause && typeof cause.errcode === "number" ? cause.errcode & 0xff : 0;
}

/** SQLite says "disk I/O error" when the files beside the store find no room. */
function diskIsFull(path: string): boolean {
  try {
    return statfsSync(dirname(path)).bavail === 0;
  } catch {
    return false;
  }
}

function firstLine(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  return message.split("\n", 1)[0] ?? "";
}
