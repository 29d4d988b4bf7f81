import type { StoreChange, StoredHead } from "./store.ts";

/**
 * A commit as it crosses the border: one block of hashes instead of an object for each, because copying an object costs as
 * much as writing its row.
 */
export interface PackedChange {
  readonly rows: StoreChange["rows"];
  readonly head: StoreChange["head"];
  readonly firstSequence: number;
  /** Joined by line feeds: one string crosses at a fraction of what many cost. */
  readonly bodies: string;
  /** 32 bytes for each body. */
  readonly hashes: Uint8Array;
  /** Of the last entry; the others have none. */
  readonly lastSeal: Uint8Array | null;
}

const hashBytes = 32;

/**
 * Undefined for a change whose audit entries are not consecutive, are sealed elsewhere than at their end, or are not one
 * line each, as records are.
 */
export function packChange({ rows, audit, head }: StoreChange): PackedChange | undefined {
  const firstSequence = audit[0]?.sequence ?? 0;
  const hashes = Buffer.allocUnsafeSlow(audit.length * hashBytes);
  for (const [index, entry] of audit.entries()) {
    const last = index === audit.length - 1;
    if (entry.sequence !== firstSequence + index || (entry.seal !== null && !last)) return undefined;
    if (entry.body.includes("\n")) return undefined;
    hashes.set(entry.hash, index * hashBytes);
  }
  return {
    rows,
    head: headToHandOver(head),
    firstSequence,
    bodies: audit.map(({ body }) => body).join("\n"),
    hashes,
    lastSeal: audit.at(-1)?.seal ?? null,
  };
}

/** A view takes the whole of its buffer across: with a hash that lies in Node's pool, 64 KiB would go over at each commit. */
export function headToHandOver(head: StoredHead): StoredHead {
  const { stateTag, auditHash, mac } = head;
  return { ...head, stateTag: ownBytes(stateTag), auditHash: ownBytes(auditHash), mac: ownBytes(mac) };
}

function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}

export function unpackChange({ rows, head, firstSequence, bodies, hashes, lastSeal }: PackedChange): StoreChange {
  const lines = hashes.length === 0 ? [] : bodies.split("\n");
  const audit = lines.map((body, index) => ({
    sequence: firstSequence + index,
    body,
    hash: hashes.subarray(index * hashBytes, (index + 1) * hashBytes),
    seal: index === lines.length - 1 ? lastSeal : null,
  }));
  return { rows, audit, head };
}
