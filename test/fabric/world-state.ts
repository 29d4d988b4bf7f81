import { ledger } from "@hyperledger/fabric-protos";

/** The transaction that wrote a value: its block, and its place in the block. */
export interface Version {
  readonly block: number;
  readonly transaction: number;
}

export interface Entry {
  readonly key: string;
  readonly value: Uint8Array;
  readonly version: Version;
}

export interface Write {
  readonly key: string;
  /** Absent: the key is deleted. */
  readonly value?: Uint8Array;
}

const { kvrwset } = ledger.rwset;

/** A peer's state at one height, by namespace and key. A commit makes another one: who reads an older one goes on reading it. */
export class WorldState {
  readonly #entries: ReadonlyMap<string, ReadonlyMap<string, Entry>>;

  constructor(entries: ReadonlyMap<string, ReadonlyMap<string, Entry>> = new Map()) {
    this.#entries = entries;
  }

  get(namespace: string, key: string): Entry | undefined {
    return this.#entries.get(namespace)?.get(key);
  }

  /** Keys from `start` on, before `end`, in the order of their UTF-8 bytes, as LevelDB has them. */
  range(namespace: string, start: string, end: string): readonly Entry[] {
    const [from, to] = [Buffer.from(start), Buffer.from(end)];
    return [...(this.#entries.get(namespace)?.values() ?? [])]
      .map((entry) => ({ entry, bytes: Buffer.from(entry.key) }))
      .filter(({ bytes }) => from.compare(bytes) <= 0 && (end === "" || bytes.compare(to) < 0))
      .sort((a, b) => a.bytes.compare(b.bytes))
      .map(({ entry }) => entry);
  }

  with(namespace: string, writes: readonly Write[], version: Version): WorldState {
    const keys = new Map(this.#entries.get(namespace));
    for (const { key, value } of writes) {
      if (value === undefined) keys.delete(key);
      else keys.set(key, { key, value, version });
    }
    return new WorldState(new Map(this.#entries).set(namespace, keys));
  }
}

/** One transaction's reads and writes over a state that stays as it is: what it writes it does not read back. */
export class Simulation {
  readonly #state: WorldState;
  readonly #reads = new Map<string, Map<string, Version | undefined>>();
  readonly #writes = new Map<string, Map<string, Write>>();
  readonly #ranges = new Map<string, { start: string; end: string; results: readonly Entry[] }[]>();

  constructor(state: WorldState) {
    this.#state = state;
  }

  get(namespace: string, key: string): Uint8Array | undefined {
    const entry = this.#state.get(namespace, key);
    of(this.#reads, namespace).set(key, entry?.version);
    return entry?.value;
  }

  write(namespace: string, write: Write): void {
    of(this.#writes, namespace).set(write.key, write);
  }

  range(namespace: string, start: string, end: string): readonly Entry[] {
    const results = this.#state.range(namespace, start, end);
    const ranges = this.#ranges.get(namespace) ?? [];
    this.#ranges.set(namespace, [...ranges, { start, end, results }]);
    return results;
  }

  /** rwset.TxReadWriteSet, namespaces and keys in order: the same for every peer of the same state. */
  toReadWriteSet(): Uint8Array {
    const set = new ledger.rwset.TxReadWriteSet();
    const namespaces = new Set([...this.#reads.keys(), ...this.#writes.keys(), ...this.#ranges.keys()]);
    for (const namespace of [...namespaces].sort()) {
      const one = new kvrwset.KVRWSet();
      for (const [key, version] of sorted(this.#reads.get(namespace))) one.addReads(toRead(key, version));
      for (const { start, end, results } of this.#ranges.get(namespace) ?? []) {
        const info = new kvrwset.RangeQueryInfo();
        info.setStartKey(start);
        info.setEndKey(end);
        info.setItrExhausted(true);
        const reads = new kvrwset.QueryReads();
        for (const { key, version } of results) reads.addKvReads(toRead(key, version));
        info.setRawReads(reads);
        one.addRangeQueriesInfo(info);
      }
      for (const [key, { value }] of sorted(this.#writes.get(namespace))) {
        const write = new kvrwset.KVWrite();
        write.setKey(key);
        write.setIsDelete(value === undefined);
        if (value !== undefined) write.setValue(value);
        one.addWrites(write);
      }
      const entry = new ledger.rwset.NsReadWriteSet();
      entry.setNamespace(namespace);
      entry.setRwset(one.serializeBinary());
      set.addNsRwset(entry);
    }
    return set.serializeBinary();
  }
}

/**
 * The state after a transaction's writes, or the code for which it is invalid: MVCC_READ_CONFLICT where a key that it read has
 * changed, PHANTOM_READ_CONFLICT where a range that it read has others in it.
 */
export function apply(state: WorldState, readWriteSet: Uint8Array, version: Version): WorldState | 11 | 12 {
  let next = state;
  for (const each of ledger.rwset.TxReadWriteSet.deserializeBinary(readWriteSet).getNsRwsetList()) {
    const namespace = each.getNamespace();
    const set = kvrwset.KVRWSet.deserializeBinary(each.getRwset_asU8());
    for (const read of set.getReadsList())
      if (!isSame(state.get(namespace, read.getKey())?.version, fromRead(read.getVersion()))) return 11;
    for (const range of set.getRangeQueriesInfoList()) {
      const now = state.range(namespace, range.getStartKey(), range.getEndKey());
      const then = range.getRawReads()?.getKvReadsList() ?? [];
      const isUnchanged = now.every(
        ({ key, version: at }, index) =>
          then[index]?.getKey() === key && isSame(at, fromRead(then[index]?.getVersion())),
      );
      if (now.length !== then.length || !isUnchanged) return 12;
    }
    const writes = set.getWritesList().map((write) => ({
      key: write.getKey(),
      ...(write.getIsDelete() ? {} : { value: write.getValue_asU8() }),
    }));
    next = next.with(namespace, writes, version);
  }
  return next;
}

type KvVersion = InstanceType<typeof kvrwset.Version>;

function toRead(key: string, version: Version | undefined): InstanceType<typeof kvrwset.KVRead> {
  const read = new kvrwset.KVRead();
  read.setKey(key);
  if (version === undefined) return read;
  const at = new kvrwset.Version();
  at.setBlockNum(version.block);
  at.setTxNum(version.transaction);
  read.setVersion(at);
  return read;
}

function fromRead(version: KvVersion | undefined): Version | undefined {
  return version && { block: version.getBlockNum(), transaction: version.getTxNum() };
}

function isSame(a: Version | undefined, b: Version | undefined): boolean {
  return a?.block === b?.block && a?.transaction === b?.transaction;
}

function of<Value>(maps: Map<string, Map<string, Value>>, namespace: string): Map<string, Value> {
  const map = maps.get(namespace) ?? new Map<string, Value>();
  maps.set(namespace, map);
  return map;
}

function sorted<Value>(map: ReadonlyMap<string, Value> | undefined): readonly (readonly [string, Value])[] {
  return [...(map ?? [])].sort(([a], [b]) => Buffer.from(a).compare(Buffer.from(b)));
}
