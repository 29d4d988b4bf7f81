import { LevelError } from "./errors.ts";
import type { KeyNames } from "./key-names.ts";

/** Range options as abstract-level hands them on: encoded, in the form of names. */
export interface NameRange {
  readonly gt?: Buffer;
  readonly gte?: Buffer;
  readonly lt?: Buffer;
  readonly lte?: Buffer;
  readonly reverse?: boolean;
}

/** The same range over stored keys. */
export interface StoredRange {
  gt?: Buffer;
  gte?: Buffer;
  lt?: Buffer;
  lte?: Buffer;
}

/** Every entry, whatever its name. Strongroom's own records lie outside. */
export function allEntries(names: KeyNames): StoredRange {
  return { gte: names.bounds.from, lt: names.bounds.to };
}

/** A range of names whose order is kept. `gte` goes before `gt` and `lte` before `lt`, as abstract-level has it. */
export function orderedRange(names: KeyNames, range: NameRange): StoredRange {
  const stored: StoredRange = {};
  if (range.gte !== undefined) stored.gte = names.store(range.gte);
  else if (range.gt !== undefined) stored.gt = names.store(range.gt);
  else stored.gte = names.bounds.from;
  if (range.lte !== undefined) stored.lte = names.store(range.lte);
  else if (range.lt !== undefined) stored.lt = names.store(range.lt);
  else stored.lt = names.bounds.to;
  return stored;
}

/**
 * What a range over encrypted names asks for: undefined for every entry, or the prefix of the sublevel whose entries are
 * wanted. A sublevel asks for `gte` its prefix and `lte` the same with its last byte one higher.
 *
 * @throws {LevelError} `LEVEL_NOT_SUPPORTED` for any other range and for `reverse`: stored names have no useful order.
 */
export function unorderedScope(range: NameRange): Buffer | undefined {
  if (range.reverse === true) throw notOrdered("reverse order");
  if (range.gt !== undefined || range.lt !== undefined) throw notOrdered("a range");
  if (range.gte === undefined && range.lte === undefined) return undefined;
  if (range.gte === undefined || range.lte === undefined || !isSublevelScope(range.gte, range.lte))
    throw notOrdered("a range");
  return range.gte;
}

function isSublevelScope(prefix: Buffer, upper: Buffer): boolean {
  const last = prefix.length - 1;
  return (
    last >= 2 &&
    upper.length === prefix.length &&
    upper[last] === (prefix[last] ?? 0) + 1 &&
    upper.subarray(0, last).equals(prefix.subarray(0, last))
  );
}

/** True when `name` begins with `scope`. */
export function inScope(name: Buffer, scope: Buffer | undefined): boolean {
  return scope === undefined || (name.length >= scope.length && name.subarray(0, scope.length).equals(scope));
}

export function notOrdered(what: string): LevelError {
  return new LevelError(
    "LEVEL_NOT_SUPPORTED",
    `${what} was asked for, but this store's key names are encrypted and keep no order`,
  );
}
