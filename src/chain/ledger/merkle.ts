import type { ChainSuite } from "./suite.ts";

const leafMark = Buffer.of(0);
const branchMark = Buffer.of(1);

/**
 * Root of a Merkle tree over the items in their order, built as in RFC 6962 section 2.1: the left part has the largest power
 * of two of items that is below their number; leaf = H(00 ‖ item), branch = H(01 ‖ left ‖ right); of nothing: H of nothing.
 */
export function merkleRoot(suite: ChainSuite, items: readonly Buffer[]): Buffer {
  if (items.length === 0) return suite.hash(Buffer.alloc(0));
  return subtreeRoot(
    suite,
    items.map((item) => suite.hash(leafMark, item)),
    0,
    items.length,
  );
}

/**
 * The hashes beside the way from item `index` up to the root, lowest first.
 *
 * @throws {RangeError} For an index that no item has.
 */
export function merklePath(suite: ChainSuite, items: readonly Buffer[], index: number): Buffer[] {
  if (!Number.isInteger(index) || index < 0 || index >= items.length)
    throw new RangeError(`there is no item ${index} among ${items.length}`);
  const leaves = items.map((item) => suite.hash(leafMark, item));
  const path: Buffer[] = [];
  for (let from = 0, to = items.length; to - from > 1; ) {
    const middle = from + leftSize(to - from);
    if (index < middle) {
      path.unshift(subtreeRoot(suite, leaves, middle, to));
      to = middle;
    } else {
      path.unshift(subtreeRoot(suite, leaves, from, middle));
      from = middle;
    }
  }
  return path;
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

function subtreeRoot(suite: ChainSuite, leaves: readonly Buffer[], from: number, to: number): Buffer {
  if (to - from === 1) return leaves[from] ?? Buffer.alloc(0);
  const middle = from + leftSize(to - from);
  return suite.hash(branchMark, subtreeRoot(suite, leaves, from, middle), subtreeRoot(suite, leaves, middle, to));
}

/** The largest power of two below `size`, which is at least 2. */
function leftSize(size: number): number {
  return 2 ** (31 - Math.clz32(size - 1));
}
