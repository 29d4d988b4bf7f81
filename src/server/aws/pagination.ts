import type { Page as CustodyPage, PageInput } from "../../custody/sorted-ids.ts";
import { AwsError } from "./errors.ts";
import { limit, marker } from "./members.ts";
import type { Optional } from "./shape.ts";

/** The two members of every operation that lists. */
export const page: { readonly Limit: Optional<typeof limit>; readonly Marker: Optional<typeof marker> } = {
  Limit: { shape: limit, required: false },
  Marker: { shape: marker, required: false },
};

export interface Page<T> {
  readonly items: readonly T[];
  /** `NextMarker` and `Truncated` of the answer. */
  readonly more: { readonly NextMarker?: string; readonly Truncated: boolean };
}

type Asked = { readonly Limit?: number | undefined; readonly Marker?: string | undefined };

/** What custody is asked for, where it keeps the order itself. @throws {AwsError} `InvalidMarkerException`. */
export function pageAsked({ Limit, Marker }: Asked, defaultLimit: number): PageInput {
  return { limit: Limit ?? defaultLimit, ...(Marker === undefined ? {} : { after: idOfMarker(Marker) }) };
}

/** The members of the answer beside a page's items. */
export function moreAfter<T>({ items, more }: CustodyPage<T>, idOf: (item: T) => string): Page<T>["more"] {
  const last = items.at(-1);
  return more && last !== undefined ? { NextMarker: markerOf(idOf(last)), Truncated: true } : { Truncated: false };
}

/**
 * One page of a list, in the order of the items' ids. A marker names the last id that was told, so that a walk misses
 * nothing that was there all the time, whatever is made or deleted between its pages.
 *
 * @throws {AwsError} `InvalidMarkerException`.
 */
export function pageOf<T>(all: Iterable<T>, input: Asked, idOf: (item: T) => string, defaultLimit: number): Page<T> {
  const { after, limit: length } = pageAsked(input, defaultLimit);
  const first = firstBehind(all, after, length + 1, idOf);
  const items = first.slice(0, length);
  return {
    items: items.map(({ item }) => item),
    more: moreAfter({ items, more: first.length > length }, ({ id }) => id),
  };
}

/** The first `count` items behind `after`, in order. A long list is not sorted for it: what can't be among them is passed over. */
function firstBehind<T>(
  all: Iterable<T>,
  after: string | undefined,
  count: number,
  idOf: (item: T) => string,
): readonly { readonly id: string; readonly item: T }[] {
  const kept: { readonly id: string; readonly item: T }[] = [];
  let highest: string | undefined;
  const keepFirst = () => {
    kept.sort((left, right) => (left.id < right.id ? -1 : 1)).splice(count);
    if (kept.length === count) highest = kept.at(-1)?.id;
  };
  for (const item of all) {
    const id = idOf(item);
    if ((after !== undefined && id <= after) || (highest !== undefined && id > highest)) continue;
    kept.push({ id, item });
    if (kept.length >= 2 * count) keepFirst();
  }
  keepFirst();
  return kept;
}

function markerOf(id: string): string {
  return Buffer.from(id).toString("base64url");
}

function idOfMarker(text: string): string {
  const bytes = Buffer.from(text, "base64url");
  if (bytes.length === 0 || bytes.toString("base64url") !== text) throw new AwsError("InvalidMarkerException");
  return bytes.toString();
}
