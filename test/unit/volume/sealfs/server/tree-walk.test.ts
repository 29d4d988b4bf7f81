import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { Attributes, FileSystem } from "../../../../../src/volume/sealfs/file-system.ts";
import { FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import { type CheckedTree, TreeWalk } from "../../../../../src/volume/sealfs/server/tree-walk.ts";

const folderMode = 0o040755;
const fileMode = 0o100644;

interface Shape {
  /** Names in a folder; undefined for a file. */
  readonly below: (node: number) => readonly (readonly [string, number])[] | undefined;
  readonly size?: number;
  readonly check?: (node: number) => readonly string[];
}

/** A tree that is made up while it is walked, and counts lookups that were not forgotten. */
function treeOf({ below, size = 0, check = () => [] }: Shape): { tree: CheckedTree; held: Map<number, number> } {
  const held = new Map<number, number>();
  const attributesOf = (node: number) =>
    ({ mode: below(node) === undefined ? fileMode : folderMode, size }) as Attributes;
  const own: Partial<CheckedTree> = {
    lookup(parent, name) {
      const [, node] = below(parent)?.find(([known]) => known === name) ?? [];
      if (node === undefined) throw new FsError("ENOENT");
      held.set(node, (held.get(node) ?? 0) + 1);
      return { node, attributes: attributesOf(node) };
    },
    forget(node) {
      held.delete(node);
    },
    listExtendedAttributes: () => [],
    getAttributes: attributesOf,
    open: (node) => node,
    release: () => {},
    openDirectory: (node) => node,
    releaseDirectory: () => {},
    readDirectory(node, from, take) {
      const names = below(node) ?? [];
      for (let at = from; at < names.length; at += 1) {
        const entry = { name: names[at]?.[0] ?? "", inode: 1n, type: 0, next: at + 1 };
        if (!take(entry)) return;
      }
    },
    read() {
      throw new Error("content is not read through the tree");
    },
    checkContent: check,
  };
  return { tree: own as CheckedTree & FileSystem, held };
}

function walked(shape: Shape): { walk: TreeWalk; told: string[]; held: Map<number, number> } {
  const told: string[] = [];
  const { tree, held } = treeOf(shape);
  const walk = new TreeWalk(tree, (path, what) => told.push(`${path}: ${what}`));
  walk.run();
  return { walk, told, held };
}

test("a tree that is deeper than a program's stack is walked to its end", () => {
  const deep = 50_000;
  const { walk, told, held } = walked({ below: (node) => (node < deep ? [["d", node + 1]] : []) });
  deepEqual([walk.folders, told, held.size], [deep, [], 0]);
});

test("a file of any size is verified as it is stored, not read", () => {
  const { walk, told } = walked({ below: (node) => (node === 1 ? [["sparse", 2]] : undefined), size: 2 ** 52 });
  deepEqual([walk.files, walk.bytes, told], [1, 2 ** 52, []]);
});

test("what is wrong in a file is told by its path, and the walk goes on", () => {
  const { told, held } = walked({
    below: (node) =>
      node === 1
        ? [
            ["a", 2],
            ["f", 3],
            ["z", 4],
          ]
        : node === 2
          ? [["g", 5]]
          : undefined,
    check: (node) => {
      if (node === 5) return ["block 7 does not verify", "block 9 lies beyond the end"];
      if (node === 3) throw new FsError("ENOKEY", "no key");
      return [];
    },
  });
  deepEqual(told.sort(), ["/a/g: block 7 does not verify", "/a/g: block 9 lies beyond the end", "/f: ENOKEY: no key"]);
  equal(held.size, 0);
});

test("an error that is none of a file system ends the walk", () => {
  let failed: unknown;
  try {
    walked({
      below: (node) => (node === 1 ? [["f", 2]] : undefined),
      check: () => {
        throw new TypeError("a mistake");
      },
    });
  } catch (error) {
    failed = error;
  }
  equal(failed instanceof TypeError, true);
});
