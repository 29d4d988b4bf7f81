import type { CommittedState, CommittedValue, StateChange } from "../ledger/committed-state.ts";
import { lifecycleName } from "../ledger/definitions.ts";
import { sha256 } from "../ledger/low-s.ts";

interface Namespace {
  /** In order, for ranges. */
  readonly keys: Buffer[];
  readonly values: Map<string, CommittedValue>;
  /** SHA-256 of the values that are not kept, a byte a character: short texts take the least memory. */
  readonly hashes: Map<string, string>;
}

const noBytes = new Uint8Array();
const noVersion = { blockNumber: 0n, position: 0n };

/**
 * What the blocks so far have come to, in memory. Of every namespace it has keys and versions, by which transactions are
 * judged, and the hashes of values; values it keeps of the registry and of the definitions of chaincodes alone.
 */
export class SortedState implements CommittedState {
  readonly #namespaces = new Map<string, Namespace>();
  readonly #transactions = new Set<string>();
  readonly #unknown = new Map<string, string>();
  readonly #keptNamespaces: readonly string[];

  /** @param erccName - The registry's namespace. */
  constructor(erccName: string) {
    this.#keptNamespaces = [erccName, lifecycleName];
  }

  get(namespace: string, key: string): CommittedValue | undefined {
    return this.#namespaces.get(namespace)?.values.get(key);
  }

  /** SHA-256 of a value; undefined where there is none. */
  hash(namespace: string, key: string): Buffer | undefined {
    if (this.#keptNamespaces.includes(namespace)) {
      const found = this.get(namespace, key);
      return found && sha256(found.value);
    }
    const hash = this.#namespaces.get(namespace)?.hashes.get(key);
    return hash === undefined ? undefined : Buffer.from(hash, "latin1");
  }

  *range(namespace: string, startKey: string, endKey: string): Iterable<CommittedValue & { readonly key: string }> {
    const found = this.#namespaces.get(namespace);
    if (found === undefined) return;
    const end = Buffer.from(endKey);
    for (let at = placeOf(found.keys, Buffer.from(startKey)); at < found.keys.length; at += 1) {
      const bytes = found.keys[at] ?? noBytes;
      if (endKey !== "" && Buffer.compare(bytes, end) >= 0) return;
      const key = bytes.toString();
      yield { key, ...(found.values.get(key) ?? { value: noBytes, version: noVersion }) };
    }
  }

  hasTransaction(txId: string): boolean {
    return this.#transactions.has(txId);
  }

  whyUnknown(part: string): string | undefined {
    return this.#unknown.get(part);
  }

  /** Takes over what a block's valid transactions have changed, the ids of all of them, and what is not known any more. */
  commit(
    changes: readonly StateChange[],
    txIds: readonly string[],
    unknown: ReadonlyMap<string, string> = new Map(),
  ): void {
    for (const change of changes) this.#change(change);
    for (const txId of txIds) this.#transactions.add(txId);
    for (const [part, why] of unknown) {
      this.#unknown.set(part, why);
      this.#namespaces.delete(part);
    }
  }

  #change({ namespace, key, value, version }: StateChange): void {
    if (this.#unknown.has(namespace)) return;
    let found = this.#namespaces.get(namespace);
    if (found === undefined) {
      found = { keys: [], values: new Map(), hashes: new Map() };
      this.#namespaces.set(namespace, found);
    }
    const bytes = Buffer.from(key);
    const at = placeOf(found.keys, bytes);
    const isThere = found.values.has(key);
    if (value === undefined) {
      if (isThere) found.keys.splice(at, 1);
      found.values.delete(key);
      found.hashes.delete(key);
      return;
    }
    if (!isThere) found.keys.splice(at, 0, bytes);
    const isKept = this.#keptNamespaces.includes(namespace);
    found.values.set(key, { value: isKept ? value : noBytes, version });
    if (!isKept) found.hashes.set(key, sha256(value).toString("latin1"));
  }
}

/** Where a key is, or would be. */
function placeOf(keys: readonly Buffer[], key: Buffer): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Buffer.compare(keys[middle] ?? key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
