import type { AttributeChange } from "../file-system.ts";
import { FsError } from "../fs-error.ts";
import { type InodePlace, setMode, setOwner, setTimes } from "../system/inode.ts";
import type { FileContent } from "./file-content.ts";
import type { TreeNode } from "./tree-node.ts";
import type { TreeState } from "./tree-state.ts";

/**
 * chmod, chown, truncate and utimens, in an order in which one leaves the others' results alone: chown(2) clears the set-ID bits.
 *
 * @param handle - The content that the change was asked through, if any.
 * @throws {FsError}
 */
export function changeAttributes(
  state: TreeState,
  node: TreeNode,
  change: AttributeChange,
  handle: FileContent | undefined,
): void {
  if (change.size !== undefined) truncate(state, node, change.size, handle);
  if (node.places.length === 0 && node.content === undefined && node !== state.nodes.root) {
    changeNameless(node, change);
    return;
  }
  const place: InodePlace = state.placeOf(node);
  if (change.uid !== undefined || change.gid !== undefined) setOwner(place, change.uid, change.gid);
  if (change.mode !== undefined) setMode(place, change.mode);
  if (change.accessedNs === undefined && change.modifiedNs === undefined) return;
  if (node.content !== undefined) node.content.setTimes(change.accessedNs, change.modifiedNs);
  else setTimes(place, change.accessedNs, change.modifiedNs);
}

/** @throws {FsError} EISDIR, EINVAL for what is no regular file, EROFS; those of the content. */
export function truncate(state: TreeState, node: TreeNode, size: number, handle?: FileContent): void {
  if (node.isFolder) throw new FsError("EISDIR");
  if (!node.isFile) throw new FsError("EINVAL");
  const content = handle ?? state.contents.of(node);
  // Before the content changes in memory, which could then never be committed.
  if (content.file.readOnly) throw new FsError("EROFS", "a backing file that can only be read");
  content.stored.truncate(size);
  content.touch();
  if (content.handles === 0) content.commit();
}

/** Of an inode that no name and no open file leads to: only who still holds it by its number can see the change. */
function changeNameless(node: TreeNode, change: AttributeChange): void {
  const status = node.lastStatus;
  if (status === undefined) throw new FsError("ESTALE", "a node that no name leads to");
  const now = BigInt(Date.now()) * 1_000_000n;
  const time = (asked: bigint | "now" | undefined, old: bigint) => (asked === "now" ? now : (asked ?? old));
  node.lastStatus = {
    ...status,
    mode: change.mode === undefined ? status.mode : (status.mode & ~0o7777) | (change.mode & 0o7777),
    uid: change.uid ?? status.uid,
    gid: change.gid ?? status.gid,
    accessedNs: time(change.accessedNs, status.accessedNs),
    modifiedNs: time(change.modifiedNs, status.modifiedNs),
    changedNs: now,
  };
}
