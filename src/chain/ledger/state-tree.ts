import type { ChainSuite } from "./suite.ts";
import { hashBytes } from "./suite.ts";

/** An entry sits as near to the root as its key's hash is the only one below. */
interface Leaf {
  readonly kind: "leaf";
  readonly keyHash: Buffer;
  readonly key: Buffer;
  readonly value: Buffer;
  hash?: Buffer;
}

interface Branch {
  readonly kind: "branch";
  readonly left: Subtree;
  readonly right: Subtree;
  hash?: Buffer;
}

type Subtree = Leaf | Branch | undefined;

/** What an entry counts for beside its key and value: its place in the tree, with hashes. */
const entryBytes = 512;
/** What all entries of a state may count for. The state lives in every node's memory, and a transaction has no price. */
export const maxStateBytes: number = 256 * 1024 * 1024;

const leafMark = Buffer.of(0);
const branchMark = Buffer.of(1);
const emptyHash = Buffer.alloc(hashBytes);

/**
 * The key-value contract's entries as a binary hash tree over the bits of H(key). It never changes: `set` returns another
 * tree that shares what is equal, so that a block can be tried without touching the state before it. The root depends on
 * the entries only, not on the order in which they came.
 *
 *     root of nothing = 32 zero bytes
 *     leaf            = H(00 ‖ H(key) ‖ H(value))
 *     branch          = H(01 ‖ left ‖ right)
 */
export class StateTree {
  readonly #suite: ChainSuite;
  readonly #top: Subtree;
  /** Key, value and 512 for each entry. */
  readonly bytes: number;

  private constructor(suite: ChainSuite, top: Subtree, bytes: number) {
    this.#suite = suite;
    this.#top = top;
    this.bytes = bytes;
  }

  static empty(suite: ChainSuite): StateTree {
    return new StateTree(suite, undefined, 0);
  }

  get(key: Buffer): Buffer | undefined {
    return this.#valueAt(this.#suite.hash(key));
  }

  #valueAt(keyHash: Buffer): Buffer | undefined {
    let at = this.#top;
    for (let depth = 0; at?.kind === "branch"; depth++) at = bit(keyHash, depth) ? at.right : at.left;
    return at?.keyHash.equals(keyHash) ? at.value : undefined;
  }

  /** The tree with this entry. The buffers become the tree's. */
  set(key: Buffer, value: Buffer): StateTree {
    const leaf: Leaf = { kind: "leaf", keyHash: this.#suite.hash(key), key, value };
    const before = this.#valueAt(leaf.keyHash);
    const more = before === undefined ? entryBytes + key.length + value.length : value.length - before.length;
    return new StateTree(this.#suite, placed(this.#top, leaf, 0), this.bytes + more);
  }

  /** 32 bytes. Hashes of unchanged parts are remembered. */
  root(): Buffer {
    return this.#hash(this.#top);
  }

  #hash(subtree: Subtree): Buffer {
    if (subtree === undefined) return emptyHash;
    subtree.hash ??=
      subtree.kind === "leaf"
        ? this.#suite.hash(leafMark, subtree.keyHash, this.#suite.hash(subtree.value))
        : this.#suite.hash(branchMark, this.#hash(subtree.left), this.#hash(subtree.right));
    return subtree.hash;
  }
}

export function emptyStateRoot(suite: ChainSuite): Buffer {
  return StateTree.empty(suite).root();
}

function placed(at: Subtree, leaf: Leaf, depth: number): Subtree {
  if (at === undefined) return leaf;
  if (at.kind === "leaf") {
    if (at.keyHash.equals(leaf.keyHash)) return leaf;
    const branch = oneSided(at, bit(at.keyHash, depth));
    return placed(branch, leaf, depth);
  }
  return bit(leaf.keyHash, depth)
    ? { kind: "branch", left: at.left, right: placed(at.right, leaf, depth + 1) }
    : { kind: "branch", left: placed(at.left, leaf, depth + 1), right: at.right };
}

function oneSided(leaf: Leaf, right: boolean): Branch {
  return right ? { kind: "branch", left: undefined, right: leaf } : { kind: "branch", left: leaf, right: undefined };
}

function bit(hash: Buffer, depth: number): boolean {
  return (((hash[depth >> 3] ?? 0) >> (7 - (depth & 7))) & 1) === 1;
}
