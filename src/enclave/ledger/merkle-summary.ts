import { create } from "@bufbuild/protobuf";
import { KVReadSchema, type QueryReadsMerkleSummary, QueryReadsSchema } from "../messages/generated/fabric/rwset_pb.ts";
import type { Version } from "./committed-state.ts";
import { writeMessage } from "./fabric-message.ts";
import { sha256 } from "./low-s.ts";

/** What a range gives now. */
type Reads = readonly { readonly key: string; readonly version: Version }[];

const fewestInTree = 2;

/** Whether hashes can stand for a range so: with another degree Fabric's peers cannot validate the transaction, and halt. */
export function isSummary({ maxDegree }: QueryReadsMerkleSummary): boolean {
  return maxDegree >= fewestInTree;
}

/**
 * Whether these are the reads for which hashes stand in a transaction. Where a range gives more than `maxDegree` keys, Fabric puts each `maxDegree + 1` of them
 * together under a hash (SHA-256 over kvrwset.QueryReads), of these hashes as many again, and so on, until no more than `maxDegree` are left on a level.
 */
export function isSummaryOf(summary: QueryReadsMerkleSummary, reads: Reads): boolean {
  const { maxDegree, maxLevel, maxLevelHashes } = summary;
  if (reads.length <= maxDegree) return false;
  const levels = new HashLevels(maxDegree);
  for (const some of inGroups(reads, maxDegree + 1)) levels.add(hashOf(some));
  const top = levels.finish();
  return (
    top.level === maxLevel &&
    top.hashes.length === maxLevelHashes.length &&
    top.hashes.every((hash, index) => hash.equals(maxLevelHashes[index] ?? hash.subarray(1)))
  );
}

class HashLevels {
  readonly #maxDegree: number;
  /** From the lowest on. A level that is full has become one hash of the next. */
  readonly #levels: Buffer[][] = [[]];

  constructor(maxDegree: number) {
    this.#maxDegree = maxDegree;
  }

  add(hash: Buffer, level = 0): void {
    const hashes = this.#at(level);
    hashes.push(hash);
    if (hashes.length > this.#maxDegree) this.add(sha256(...hashes.splice(0)), level + 1);
  }

  /** Takes what is left below to the highest level; one hash as it is, several as their hash. */
  finish(): { readonly level: number; readonly hashes: readonly Buffer[] } {
    const highest = this.#levels.length - 1;
    for (let level = 0; level < highest; level += 1) {
      const [only, ...others] = this.#at(level).splice(0);
      if (only !== undefined) this.#at(level + 1).push(others.length === 0 ? only : sha256(only, ...others));
    }
    const hashes = this.#at(highest);
    const isTooMany = hashes.length > this.#maxDegree;
    return isTooMany ? { level: highest + 2, hashes: [sha256(...hashes)] } : { level: highest + 1, hashes };
  }

  #at(level: number): Buffer[] {
    const known = this.#levels[level];
    if (known !== undefined) return known;
    const hashes: Buffer[] = [];
    this.#levels[level] = hashes;
    return hashes;
  }
}

function* inGroups(reads: Reads, size: number): Generator<Reads> {
  for (let at = 0; at < reads.length; at += size) yield reads.slice(at, at + size);
}

function hashOf(reads: Reads): Buffer {
  const kvReads = reads.map(({ key, version }) =>
    create(KVReadSchema, { key, version: { blockNum: version.blockNumber, txNum: version.position } }),
  );
  return sha256(writeMessage(QueryReadsSchema, create(QueryReadsSchema, { kvReads })));
}
