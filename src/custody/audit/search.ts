import type { AuditPage, AuditQuery } from "../contract/audit.ts";
import type { AuditRecord } from "../service.ts";
import type { Store, StoredAuditEntry } from "../store/store.ts";
import type { CompiledFilter } from "./filter.ts";

/** Records that are read at once: a commit that comes meanwhile waits for no more than these. */
const readAtOnce = 200;
/** After so many records a page ends, full or not: a search must not hold its caller for the length of the chain. */
const maxScanned = 20_000;
/** Enough for thousands of ordinary records, and small beside what a client takes. */
const maxPageCharacters = 4 * 1024 * 1024;

/**
 * One page of a search: reads the chain from the query's cursor on, up to its limit of fitting records, 20 000 records in
 * all, or about 4 MiB.
 *
 * @param last - The chain's last record when the search began.
 */
export async function searchChain(
  store: Pick<Store, "readAudit">,
  query: Pick<AuditQuery, "order" | "cursor" | "limit">,
  filter: CompiledFilter,
  last: number,
): Promise<AuditPage> {
  const newestFirst = query.order !== "oldest";
  const records: AuditRecord[] = [];
  let characters = 0;
  let scanned = 0;
  let cursor = newestFirst ? Math.min(query.cursor ?? last + 1, last + 1) : Math.min(query.cursor ?? 0, last);
  const atEnd = () => (newestFirst ? cursor <= 1 : cursor >= last);
  while (!atEnd()) {
    const entries = await entriesFrom(store, cursor, newestFirst, last);
    if (entries.length === 0) break;
    for (const { sequence, body } of entries) {
      if (records.length >= query.limit || scanned >= maxScanned || characters >= maxPageCharacters)
        return { records, next: cursor };
      cursor = sequence;
      scanned += 1;
      const record = filter.pick(sequence, body);
      if (record === undefined) continue;
      records.push(record);
      characters += body.length;
    }
  }
  return { records, next: null };
}

/** The entries beyond the cursor, in the search's order. */
async function entriesFrom(
  store: Pick<Store, "readAudit">,
  cursor: number,
  newestFirst: boolean,
  last: number,
): Promise<readonly StoredAuditEntry[]> {
  if (!newestFirst) return await store.readAudit(cursor, Math.min(readAtOnce, last - cursor));
  const after = Math.max(0, cursor - 1 - readAtOnce);
  const entries = await store.readAudit(after, cursor - 1 - after);
  return entries.toReversed();
}
