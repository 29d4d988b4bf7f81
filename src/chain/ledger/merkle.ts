import type { ChainSuite } from "./suite.ts";

const leafMark = Buffer.of(0);
const branchMark = Buffer.of(1);

/**
 * A Merkle tree over the items in their order, as in RFC 6962 section 2.1: the left part has the largest power of two of items
 * that is below their number; leaf = H(00 ‖ item), branch = H(01 ‖ left ‖ right); of nothing: H of nothing. It keeps every hash,
 * so that the paths of all items cost one tree.
 */
export class MerkleTree {
  /** From the leaves up to the root. A last one without a neighbour stands in the next level as it is: RFC 6962's tree, by level. */
  readonly #levels: readonly (readonly Buffer[])[];
  readonly root: Buffer;

  constructor(suite: ChainSuite, items: readonly Buffer[]) {
    let level: readonly Buffer[] = items.map((item) => suite.hash(leafMark, item));
    const levels = [level];
    while (level.length > 1) {
      level = joinedPairs(suite, level);
      levels.push(level);
    }
    this.#levels = levels;
    this.root = level[0] ?? suite.hash(Buffer.alloc(0));
  }

  /**
   * The hashes beside the way from item `index` up to the root, lowest first.
   *
   * @throws {RangeError} For an index that no item has.
   */
  path(index: number): Buffer[] {
    const count = this.#levels[0]?.length ?? 0;
    if (!Number.isInteger(index) || index < 0 || index >= count)
      throw new RangeError(`there is no item ${index} among ${count}`);
    return this.#levels.flatMap((level, height) => level[(index >> height) ^ 1] ?? []);
  }
}

export function merkleRoot(suite: ChainSuite, items: readonly Buffer[]): Buffer {
  return new MerkleTree(suite, items).root;
}

/** The root that the item has at `index` of `count` items, by its path; undefined for a path of another length. */
export function merkleRootOfPath(
  suite: ChainSuite,
  item: Buffer,
  index: number,
  count: number,
  path: readonly Buffer[],
): Buffer | undefined {
  if (!Number.isInteger(index) || !Number.isInteger(count) || index < 0 || index >= count) return undefined;
  const isLeft: boolean[] = [];
  for (let from = 0, to = count; to - from > 1; ) {
    const middle = from + leftSize(to - from);
    isLeft.unshift(index < middle);
    if (index < middle) to = middle;
    else from = middle;
  }
  if (isLeft.length !== path.length) return undefined;
  return path.reduce(
    (below, beside, level) =>
      isLeft[level] ? suite.hash(branchMark, below, beside) : suite.hash(branchMark, beside, below),
    suite.hash(leafMark, item),
  );
}

function joinedPairs(suite: ChainSuite, level: readonly Buffer[]): Buffer[] {
  const joined: Buffer[] = [];
  for (let index = 0; index < level.length; index += 2) {
    const [left, right] = level.slice(index, index + 2);
    if (left !== undefined) joined.push(right === undefined ? left : suite.hash(branchMark, left, right));
  }
  return joined;
}

/** The largest power of two below `size`, which is at least 2. */
function leftSize(size: number): number {
  return 2 ** (31 - Math.clz32(size - 1));
}
