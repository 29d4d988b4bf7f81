import { asBytes, type BaseIterator, type BaseLevel, type BaseOperation } from "./base-level.ts";
import { LevelError } from "./errors.ts";
import { type KeyNames, storedNameGeneration } from "./key-names.ts";
import type { Keyring } from "./keyring.ts";
import { allEntries } from "./ranges.ts";
import { BatchSealer, describeKey, generationOf, openValue } from "./sealed-value.ts";

export interface ResealParts {
  readonly base: BaseLevel;
  readonly keyring: Keyring;
  readonly names: KeyNames;
}

export interface ResealStep {
  /** To go into the base in one batch. */
  readonly operations: BaseOperation[];
  /** Entries looked at; zero at the end of the pass. */
  readonly seen: number;
  readonly resealed: number;
  /** Stored keys of entries that don't open under their generation's key. */
  readonly refused: string[];
  /** Where the next step goes on; undefined when none was seen. */
  readonly cursor: Buffer | undefined;
}

const maxStepBytes = 1 << 20;

/**
 * Reads the next entries after `cursor` and seals again, under the current generation, those that are not yet. The
 * caller keeps all other writes out from before the call until the operations are written. At most `maxEntries`, and
 * no more once 1 MiB has been read.
 */
export async function resealAfter(parts: ResealParts, cursor: Buffer, maxEntries: number): Promise<ResealStep> {
  const { keyring, names } = parts;
  const entries = await readAfter(parts, cursor, maxEntries);
  const operations: BaseOperation[] = [];
  const plain: { readonly storedKey: Buffer; readonly plaintext: Buffer }[] = [];
  const refused: string[] = [];
  for (const [storedKey, sealed] of entries) {
    if (isCurrent(parts, storedKey, sealed)) continue;
    try {
      const newKey = names.ordered ? storedKey : names.store(names.name(storedKey));
      plain.push({ storedKey: newKey, plaintext: openValue(keyring, storedKey, sealed) });
      if (!names.ordered) operations.push({ type: "del", key: storedKey });
    } catch (error) {
      if (!(error instanceof LevelError) || error.code !== "LEVEL_CORRUPTION") throw error;
      refused.push(describeKey(storedKey));
    }
  }
  if (plain.length > 0) {
    const sealer = new BatchSealer(keyring, plain.length);
    for (const { storedKey, plaintext } of plain) {
      operations.push({ type: "put", key: storedKey, value: sealer.seal(storedKey, plaintext) });
      plaintext.fill(0);
    }
  }
  return { operations, seen: entries.length, resealed: plain.length, refused, cursor: entries.at(-1)?.[0] };
}

/** True when neither the value nor the name of an entry needs an older generation's key. */
export function isCurrent({ keyring, names }: ResealParts, storedKey: Buffer, sealed: Buffer): boolean {
  return (
    generationOf(sealed) === keyring.current && (names.ordered || storedNameGeneration(storedKey) === keyring.current)
  );
}

async function readAfter(
  { base, keyring, names }: ResealParts,
  cursor: Buffer,
  maxEntries: number,
): Promise<[Buffer, Buffer][]> {
  const { lt } = allEntries(names);
  const range = {
    ...(cursor.length === 0 ? { gte: names.bounds.from } : { gt: cursor }),
    lt: names.ordered ? lt : firstOfGeneration(names, keyring.current),
  };
  const iterator: BaseIterator = base.iterator({ ...asBytes, ...range, limit: maxEntries });
  const entries: [Buffer, Buffer][] = [];
  try {
    let bytes = 0;
    while (bytes < maxStepBytes) {
      const some = await iterator.nextv(Math.min(maxEntries, 8));
      if (some.length === 0) break;
      for (const entry of some) {
        bytes += entry[1].length;
        entries.push(entry);
      }
    }
  } finally {
    await iterator.close();
  }
  return entries;
}

/** The lowest stored key an encrypted name of `generation` can have: those before it await their turn. */
function firstOfGeneration(names: KeyNames, generation: number): Buffer {
  const bound = Buffer.alloc(5);
  names.bounds.from.copy(bound);
  bound.writeUInt32BE(generation, 1);
  return bound;
}
