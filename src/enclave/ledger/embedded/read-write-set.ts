import { create, toBinary } from "@bufbuild/protobuf";
import {
  KVReadSchema,
  KVRWSetSchema,
  QueryReadsSchema,
  RangeQueryInfoSchema,
  TxReadWriteSetSchema,
} from "../../messages/generated/fabric/rwset_pb.ts";
import { compareKeys, type Version } from "../committed-state.ts";
import { writeMessage } from "../fabric-message.ts";

interface RangeQuery {
  readonly startKey: string;
  endKey: string;
  isExhausted: boolean;
  readonly reads: { readonly key: string; readonly version: Version }[];
}

interface NamespaceSet {
  readonly reads: Map<string, Version | undefined>;
  readonly rangeQueries: RangeQuery[];
  readonly writes: Map<string, Uint8Array | undefined>;
}

/** What a chaincode read, each with the version that it saw, and what it means to write. */
export class ReadWriteSet {
  readonly #namespaces = new Map<string, NamespaceSet>();

  read(namespace: string, key: string, version: Version | undefined): void {
    this.#of(namespace).reads.set(key, version);
  }

  write(namespace: string, key: string, value: Uint8Array | undefined): void {
    this.#of(namespace).writes.set(key, value === undefined ? undefined : Uint8Array.from(value));
  }

  /** A range that is being read; its reader tells each key, and the end if it comes there. */
  rangeQuery(namespace: string, startKey: string, endKey: string): RangeQuery {
    const query: RangeQuery = { startKey, endKey, isExhausted: false, reads: [] };
    this.#of(namespace).rangeQueries.push(query);
    return query;
  }

  /** kvrwset.TxReadWriteSet, with names and keys in order: peers that saw the same make the same bytes. */
  encode(): Buffer {
    const nsRwset = [...this.#namespaces]
      .sort(([left], [right]) => compareKeys(left, right))
      .map(([namespace, set]) => ({ namespace, rwset: encodeNamespace(set) }));
    return writeMessage(TxReadWriteSetSchema, create(TxReadWriteSetSchema, { nsRwset }));
  }

  #of(namespace: string): NamespaceSet {
    const known = this.#namespaces.get(namespace);
    if (known !== undefined) return known;
    const set: NamespaceSet = { reads: new Map(), rangeQueries: [], writes: new Map() };
    this.#namespaces.set(namespace, set);
    return set;
  }
}

function encodeNamespace({ reads, rangeQueries, writes }: NamespaceSet): Uint8Array {
  const sorted = <T>(map: ReadonlyMap<string, T>) => [...map].sort(([left], [right]) => compareKeys(left, right));
  return toBinary(
    KVRWSetSchema,
    create(KVRWSetSchema, {
      reads: sorted(reads).map(([key, version]) => readOf(key, version)),
      rangeQueriesInfo: rangeQueries.map(({ startKey, endKey, isExhausted, reads: seen }) =>
        create(RangeQueryInfoSchema, {
          startKey,
          endKey,
          itrExhausted: isExhausted,
          readsInfo: {
            case: "rawReads",
            value: create(QueryReadsSchema, { kvReads: seen.map(({ key, version }) => readOf(key, version)) }),
          },
        }),
      ),
      writes: sorted(writes).map(([key, value]) => ({
        key,
        isDelete: value === undefined,
        value: value ?? new Uint8Array(),
      })),
    }),
  );
}

function readOf(key: string, version: Version | undefined) {
  return version === undefined
    ? create(KVReadSchema, { key })
    : create(KVReadSchema, { key, version: { blockNum: version.blockNumber, txNum: version.position } });
}
