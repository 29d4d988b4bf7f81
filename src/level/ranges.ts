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

/** The entries of one sublevel: names from its prefix to the same with the last byte one higher, both inclusive. */
export interface SublevelScope {
  readonly prefix: Buffer;
  readonly upper: Buffer;
}

/**
 * What a range over encrypted names asks for: undefined for every entry, or the sublevel whose entries are wanted.
 *
 * @throws {LevelError} `LEVEL_NOT_SUPPORTED` for any other range and for `reverse`: stored names have no useful order.
 */
export function unorderedScope(range: NameRange): SublevelScope | undefined {
  if (range.reverse === true) throw notOrdered("reverse order");
  if (range.gt !== undefined || range.lt !== undefined) throw notOrdered("a range");
  if (range.gte === undefined && range.lte === undefined) return undefined;
  if (range.gte === undefined || range.lte === undefined || !isSublevelPrefix(range.gte, range.lte))
    throw notOrdered("a range");
  return { prefix: range.gte, upper: range.lte };
}

/** True for `(separator name separator)+`, name bytes above the one after the separator, as abstract-level builds it. */
function isSublevelPrefix(prefix: Buffer, upper: Buffer): boolean {
  const separator = prefix[0] ?? 0;
  const last = prefix.length - 1;
  if (last < 1 || upper.length !== prefix.length || upper[last] !== separator + 1) return false;
  if (!upper.subarray(0, last).equals(prefix.subarray(0, last))) return false;
  let within = false;
  for (const byte of prefix) {
    if (byte === separator) within = !within;
    else if (!within || byte <= separator + 1) return false;
  }
  return !within;
}

/** True when `name` is one that the scope's bounds hold between them. */
export function inScope(name: Buffer, { prefix, upper }: SublevelScope): boolean {
  return (name.length >= prefix.length && name.subarray(0, prefix.length).equals(prefix)) || name.equals(upper);
}

export function notOrdered(what: string): LevelError {
  return new LevelError(
    "LEVEL_NOT_SUPPORTED",
    `${what} was asked for, but this store's key names are encrypted and keep no order`,
  );
}
