import { FsError } from "../fs-error.ts";
import { fileType } from "../system/calls.ts";
import type { TreeEntry } from "./tree-entry.ts";
import type { TreeKeys, TreeZone } from "./tree-keys.ts";
import { type NodePlace, TreeNode } from "./tree-node.ts";

const rootNumber = 1;

/** The nodes in use, by number and by file id. A node is dropped when nothing looks it up, has it open, or lies in it. */
export class NodeTable {
  readonly root: TreeNode;
  readonly #byNumber = new Map<number, TreeNode>();
  readonly #byId = new Map<string, TreeNode>();
  readonly #dropped: (node: TreeNode) => void;
  #nextNumber = rootNumber + 1;

  /** @param dropped - Called with each node that is no longer in use, to close what it holds. */
  constructor(keys: TreeKeys, rootInode: bigint, dropped: (node: TreeNode) => void) {
    this.#dropped = dropped;
    const id = keys.rootId.toString("base64url");
    this.root = new TreeNode(rootNumber, id, fileType.directory, rootInode, keys.zoneOf([]));
    this.root.lookups = 1;
    this.#byNumber.set(rootNumber, this.root);
    this.#byId.set(id, this.root);
  }

  /** Nodes in use. */
  get size(): number {
    return this.#byNumber.size;
  }

  all(): Iterable<TreeNode> {
    return this.#byNumber.values();
  }

  /** @throws {FsError} ESTALE for a number that is not in use. */
  get(number: number): TreeNode {
    const node = this.#byNumber.get(number);
    if (node === undefined) throw new FsError("ESTALE", "a node that is not in use");
    return node;
  }

  /** @throws {FsError} ESTALE, ENOTDIR. */
  folder(number: number): TreeNode {
    const node = this.get(number);
    if (!node.isFolder) throw new FsError("ENOTDIR");
    return node;
  }

  /** The node of a file id, if it is in use. */
  known(id: string): TreeNode | undefined {
    return this.#byId.get(id);
  }

  /** A new node for an entry. The caller looks it up, or opens it, before anything else is asked of the table. */
  add(place: NodePlace, name: string, inode: bigint, zone: TreeZone): TreeNode {
    const { fileId, type } = place.entry;
    const node = new TreeNode(this.#nextNumber, fileId, type, inode, zone);
    if (node.isFolder) node.folderName = name;
    this.#nextNumber += 1;
    this.#byNumber.set(node.number, node);
    this.#byId.set(fileId, node);
    this.addPlace(node, place);
    return node;
  }

  addPlace(node: TreeNode, place: NodePlace): void {
    if (node.addPlace(place)) place.folder.holds += 1;
  }

  /** A name of a file is gone. A folder keeps nothing: it is removed. */
  removePlace(node: TreeNode, folder: TreeNode, entry: TreeEntry): void {
    if (node.removePlace({ folder, entry })) this.release(folder);
  }

  /** No name leads to it any more; it lives on as long as it is in use. */
  markRemoved(node: TreeNode): void {
    node.removed = true;
    this.#byId.delete(node.id);
  }

  hold(node: TreeNode): void {
    node.holds += 1;
  }

  release(node: TreeNode): void {
    node.holds -= 1;
    this.#dropUnused(node);
  }

  forget(number: number, lookups: number): void {
    const node = this.#byNumber.get(number);
    if (node === undefined || node === this.root) return;
    node.lookups = Math.max(0, node.lookups - lookups);
    this.#dropUnused(node);
  }

  /** And the folders above that were kept for it alone; a loop, since a tree may be deep. */
  #dropUnused(first: TreeNode): void {
    const candidates = [first];
    for (let node = candidates.pop(); node !== undefined; node = candidates.pop()) {
      if (node.lookups > 0 || node.holds > 0 || node === this.root) continue;
      if (!this.#byNumber.delete(node.number)) continue;
      if (this.#byId.get(node.id) === node) this.#byId.delete(node.id);
      this.#dropped(node);
      for (const { folder } of node.places()) {
        folder.holds -= 1;
        candidates.push(folder);
      }
    }
  }
}
