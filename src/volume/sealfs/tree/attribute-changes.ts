import type { AttributeChange } from "../file-system.ts";
import { FsError } from "../fs-error.ts";
import { setMode, setOwner, setTimes } from "../system/inode.ts";
import type { TreeNode } from "./tree-node.ts";
import type { TreeState } from "./tree-state.ts";

/**
 * chmod, chown, truncate and utimens, in an order in which one leaves the others' results alone: chown(2) clears the set-ID bits.
 *
 * @throws {FsError}
 */
export function changeAttributes(state: TreeState, node: TreeNode, change: AttributeChange): void {
  if (change.size !== undefined) truncate(state, node, change.size);
  if (!state.inodes.isReachable(node)) {
    changeNameless(node, change);
    return;
  }
  const { uid, gid, mode, accessedNs, modifiedNs } = change;
  const setsTimes = accessedNs !== undefined || modifiedNs !== undefined;
  if (uid === undefined && gid === undefined && mode === undefined && !setsTimes) return;
  node.givesGroup = undefined;
  state.inodes.with(node, (place) => {
    if (uid !== undefined || gid !== undefined) setOwner(place, uid, gid);
    if (mode !== undefined) setMode(place, mode);
    if (!setsTimes) return;
    if (node.content !== undefined) node.content.setTimes(accessedNs, modifiedNs);
    else setTimes(place, accessedNs, modifiedNs);
  });
}

/** @throws {FsError} EISDIR, EINVAL for what is no regular file, EROFS; those of the content. */
export function truncate(state: TreeState, node: TreeNode, size: number): void {
  if (node.isFolder) throw new FsError("EISDIR");
  if (!node.isFile) throw new FsError("EINVAL");
  const content = state.contents.of(node);
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
