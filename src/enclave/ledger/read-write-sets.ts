import {
  type HashedRWSet,
  HashedRWSetSchema,
  type KVRWSet,
  KVRWSetSchema,
  type KVWrite,
  type KVWriteHash,
  TxReadWriteSetSchema,
} from "../messages/generated/fabric/rwset_pb.ts";
import { readAsGo } from "./go-message.ts";
import { sha256 } from "./low-s.ts";

/** What a transaction reads and writes of one chaincode's names. */
export interface NamespaceSet {
  readonly namespace: string;
  readonly set: KVRWSet;
  /** Of its collections of private data, each once: hashes of names and values. */
  readonly collections: readonly { readonly name: string; readonly set: HashedRWSet }[];
}
export type ReadWriteSets = readonly NamespaceSet[];

/**
 * What an endorsed transaction reads and writes, as Fabric's peers read it; undefined where they refuse it, or it names a chaincode twice.
 *
 * @param results - kvrwset.TxReadWriteSet, if there are any
 */
export function readSets(results: Uint8Array | undefined): ReadWriteSets | undefined {
  if (results === undefined) return undefined;
  try {
    const sets = readAsGo(TxReadWriteSetSchema, results).nsRwset.map(({ namespace, rwset, collectionHashedRwset }) => ({
      namespace,
      set: readAsGo(KVRWSetSchema, rwset),
      collections: byName(
        collectionHashedRwset.map(({ collectionName, hashedRwset }) => ({
          name: collectionName,
          set: readAsGo(HashedRWSetSchema, hashedRwset),
        })),
      ),
    }));
    return new Set(sets.map(({ namespace }) => namespace)).size === sets.length ? sets : undefined;
  } catch {
    return undefined;
  }
}

/** Fabric's peers take a collection that is named twice, and what each entry holds: together they are one. */
function byName(collections: NamespaceSet["collections"]): NamespaceSet["collections"] {
  const merged = new Map<string, HashedRWSet>();
  for (const { name, set } of collections) {
    const first = merged.get(name);
    if (first === undefined) merged.set(name, set);
    else {
      for (const read of set.hashedReads) first.hashedReads.push(read);
      for (const write of set.hashedWrites) first.hashedWrites.push(write);
      for (const write of set.metadataWrites) first.metadataWrites.push(write);
    }
  }
  return [...merged].map(([name, set]) => ({ name, set }));
}

/** To Fabric's peers (2.2.x and 2.3.1 on) a write of nothing is a deletion. */
export function isDeletion({ isDelete, value }: Pick<KVWrite, "isDelete" | "value">): boolean {
  return isDelete || value.length === 0;
}

const hashOfNothing = sha256(new Uint8Array());

/** {@link isDeletion} of private data: nothing as its hash, or the hash of nothing. */
export function isHashDeletion({ isDelete, valueHash }: Pick<KVWriteHash, "isDelete" | "valueHash">): boolean {
  return isDelete || valueHash.length === 0 || hashOfNothing.equals(valueHash);
}

/**
 * A part of a channel's state, under which its keys stand there: a chaincode's public names, or those of one of its collections by
 * their hashes (one byte a character).
 */
export function partOf(namespace: string, collection?: string): string {
  return collection === undefined ? namespace : `${namespace}\u0000${collection}`;
}

/** The text under which a hash stands as a key. */
export function keyOfHash(hash: Uint8Array): string {
  return Buffer.from(hash).toString("latin1");
}

/** The parts of the state that a transaction writes, metadata included. */
export function writtenParts(sets: ReadWriteSets): readonly string[] {
  return sets.flatMap(({ namespace, set, collections }) => [
    ...(set.writes.length + set.metadataWrites.length > 0 ? [partOf(namespace)] : []),
    ...collections
      .filter(({ set: hashed }) => hashed.hashedWrites.length + hashed.metadataWrites.length > 0)
      .map(({ name }) => partOf(namespace, name)),
  ]);
}

/**
 * Parts of which a transaction leaves unknown what they hold, if it is not told whether it counts: all that it writes and that is followed, and
 * those where keys may get an endorsement policy of their own.
 */
export function partsInDoubt(sets: ReadWriteSets): readonly string[] {
  return sets.flatMap(({ namespace, set, collections }) => [
    ...(set.writes.length + set.metadataWrites.length > 0 ? [partOf(namespace)] : []),
    ...collections
      .filter(({ name, set: { hashedWrites, metadataWrites } }) =>
        isFollowed(name) ? hashedWrites.length + metadataWrites.length > 0 : metadataWrites.length > 0,
      )
      .map(({ name }) => partOf(namespace, name)),
  ]);
}

/** Parts where a transaction gives keys an endorsement policy of their own. */
export function partsWithPolicies(sets: ReadWriteSets): readonly string[] {
  return sets.flatMap(({ namespace, set, collections }) => [
    ...(set.metadataWrites.length > 0 ? [partOf(namespace)] : []),
    ...collections
      .filter(({ set: hashed }) => hashed.metadataWrites.length > 0)
      .map(({ name }) => partOf(namespace, name)),
  ]);
}

/**
 * Parts that a transaction leaves in a state which is not followed here: keys with an endorsement policy of their own, names that are purged,
 * a name that is written twice. What collections hold that definitions describe is never followed, and needs no telling.
 */
export function unfollowedParts(sets: ReadWriteSets): readonly string[] {
  const twice = sets.flatMap(({ namespace, set, collections }) => [
    ...(hasTwice(set.writes.map(({ key }) => key)) ? [partOf(namespace)] : []),
    ...collections
      .filter(
        ({ name, set: hashed }) =>
          isFollowed(name) &&
          (hashed.hashedWrites.some(({ isPurge }) => isPurge) ||
            hasTwice(hashed.hashedWrites.map(({ keyHash }) => keyOfHash(keyHash)))),
      )
      .map(({ name }) => partOf(namespace, name)),
  ]);
  return [...partsWithPolicies(sets), ...twice];
}

/** Whether it is known what a collection holds: an organisation's implicit one; what definitions describe expires and is purged. */
export function isFollowed(collection: string): boolean {
  return implicitOrganisation(collection) !== undefined;
}

/** Whose an implicit collection is; undefined for a collection that a definition describes. */
export function implicitOrganisation(collection: string): string | undefined {
  return /^_implicit_org_(.+)$/.exec(collection)?.[1];
}

function hasTwice(names: readonly string[]): boolean {
  return new Set(names).size < names.length;
}
