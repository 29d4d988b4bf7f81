import type { Version as VersionMessage } from "../messages/generated/fabric/rwset_pb.ts";
import { type CommittedState, type StateOverlay, sameVersion, type Version } from "./committed-state.ts";
import { isSummary, isSummaryOf } from "./merkle-summary.ts";
import { isFollowed, keyOfHash, partOf, type ReadWriteSets } from "./read-write-sets.ts";
import { type ValidationCode, validationCodes } from "./validation-codes.ts";

/** What a transaction's reads are compared with. */
export interface CurrentState {
  readonly state: CommittedState;
  /** What earlier transactions of the block change. */
  readonly overlay: StateOverlay;
  /** Why a part of it is not known any more. */
  readonly whyUnknown: (part: string) => string | undefined;
}

/**
 * Whether what a transaction has read is still so, as Fabric's peers compare it; undefined: it is. Undecided where it rests on what is not
 * followed here, and nothing else has changed: collections that definitions describe, and what is not known any more.
 */
export function findConflict(
  sets: ReadWriteSets,
  current: CurrentState,
): { readonly code: ValidationCode } | { readonly undecided: string } | undefined {
  let undecided: string | undefined;
  for (const { part, key, version, isKnown } of readsOf(sets)) {
    const why = isKnown ? current.whyUnknown(part) : "a collection was read that is not followed";
    if (why !== undefined) undecided ??= why;
    else if (hasChanged(part, key, version, current)) return { code: validationCodes.MVCC_READ_CONFLICT };
  }
  for (const { namespace, set } of sets)
    for (const range of set.rangeQueriesInfo) {
      const why =
        range.readsInfo.case === "readsMerkleHashes" && !isSummary(range.readsInfo.value)
          ? "a range was read for which hashes stand of another form than Fabric's"
          : current.whyUnknown(partOf(namespace));
      if (why !== undefined) undecided ??= why;
      else if (hasRangeChanged(namespace, range, current)) return { code: validationCodes.PHANTOM_READ_CONFLICT };
    }
  return undecided === undefined ? undefined : { undecided };
}

function* readsOf(sets: ReadWriteSets) {
  for (const { namespace, set, collections } of sets) {
    for (const { key, version } of set.reads) yield { part: partOf(namespace), key, version, isKnown: true };
    for (const { name, set: hashed } of collections) {
      for (const { keyHash, version } of hashed.hashedReads)
        yield { part: partOf(namespace, name), key: keyOfHash(keyHash), version, isKnown: isFollowed(name) };
    }
  }
}

function hasChanged(part: string, key: string, read: VersionMessage | undefined, { state, overlay }: CurrentState) {
  return overlay.has(part, key) || !sameVersion(versionOf(read), state.get(part, key)?.version);
}

type Range = ReadWriteSets[number]["set"]["rangeQueriesInfo"][number];

function hasRangeChanged(namespace: string, range: Range, { state, overlay }: CurrentState): boolean {
  const { startKey, endKey, itrExhausted, readsInfo } = range;
  const now = overlay.range(state, { namespace, startKey, endKey, isEndIncluded: !itrExhausted });
  if (readsInfo.case === "readsMerkleHashes") return !isSummaryOf(readsInfo.value, now);
  const then = readsInfo.case === "rawReads" ? readsInfo.value.kvReads : [];
  return !(
    now.length === then.length &&
    now.every(
      ({ key, version }, index) => key === then[index]?.key && sameVersion(version, versionOf(then[index]?.version)),
    )
  );
}

function versionOf(version: VersionMessage | undefined): Version | undefined {
  return version === undefined ? undefined : { blockNumber: version.blockNum, position: version.txNum };
}
