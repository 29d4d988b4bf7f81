/** Where a value was written: the block, and the transaction's place in it. */
export interface Version {
  readonly blockNumber: bigint;
  readonly position: bigint;
}

export interface CommittedValue {
  readonly value: Uint8Array;
  readonly version: Version;
}

/** What a peer, or whoever follows blocks as one, has committed. A namespace is a chaincode's name, or a collection of its private data (`partOf`). */
export interface CommittedState {
  get(namespace: string, key: string): CommittedValue | undefined;
  /** Keys from `startKey` on and before `endKey` (empty: to the last), in the order of their UTF-8 bytes. */
  range(namespace: string, startKey: string, endKey: string): Iterable<CommittedValue & { readonly key: string }>;
  /** Whether a transaction of this id, valid or not, is in a block. */
  hasTransaction(txId: string): boolean;
  /** Why a part of the state (`partOf`) is not known any more; undefined where it is, as is all of it where this is not there. */
  whyUnknown?(part: string): string | undefined;
}

/** A change of one key; no value where it is deleted. */
export interface StateChange {
  readonly namespace: string;
  readonly key: string;
  readonly value: Uint8Array | undefined;
  readonly version: Version;
}

/** The order of keys in a state: by their UTF-8 bytes (not by UTF-16 units, as text compares). */
export function compareKeys(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

export function sameVersion(left: Version | undefined, right: Version | undefined): boolean {
  return left?.blockNumber === right?.blockNumber && left?.position === right?.position;
}

/** The changes of a block's transactions so far, over what was committed before it. */
export class StateOverlay {
  readonly #changes = new Map<string, Map<string, StateChange>>();

  add(change: StateChange): void {
    const keys = this.#changes.get(change.namespace) ?? new Map<string, StateChange>();
    keys.set(change.key, change);
    this.#changes.set(change.namespace, keys);
  }

  has(namespace: string, key: string): boolean {
    return this.#changes.get(namespace)?.has(key) ?? false;
  }

  /** By namespace and key: the last change of each, in a fixed order. */
  changes(): readonly StateChange[] {
    return [...this.#changes]
      .sort(([left], [right]) => compareKeys(left, right))
      .flatMap(([, keys]) => [...keys.values()].sort((left, right) => compareKeys(left.key, right.key)));
  }

  /** Keys and versions of a range as they are with these changes. @param isEndIncluded - Whether `endKey` belongs to it */
  range(
    state: CommittedState,
    { namespace, startKey, endKey, isEndIncluded }: KeyRange,
  ): readonly { readonly key: string; readonly version: Version }[] {
    const found = new Map<string, Version>();
    for (const { key, version } of state.range(namespace, startKey, endKey)) found.set(key, version);
    const last = isEndIncluded ? state.get(namespace, endKey) : undefined;
    if (last !== undefined) found.set(endKey, last.version);
    for (const { key, value, version } of this.#changes.get(namespace)?.values() ?? []) {
      const isBeforeEnd = endKey === "" || compareKeys(key, endKey) < 0 || (isEndIncluded && key === endKey);
      if (compareKeys(key, startKey) < 0 || !isBeforeEnd) continue;
      if (value === undefined) found.delete(key);
      else found.set(key, version);
    }
    return [...found].map(([key, version]) => ({ key, version })).sort((a, b) => compareKeys(a.key, b.key));
  }
}

export interface KeyRange {
  readonly namespace: string;
  readonly startKey: string;
  readonly endKey: string;
  readonly isEndIncluded: boolean;
}
