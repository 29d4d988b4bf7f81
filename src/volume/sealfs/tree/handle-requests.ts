import type { DirectoryEntry } from "../file-system.ts";
import { FsError } from "../fs-error.ts";
import type { StoredFile } from "../stored-file.ts";
import { fileType, openFlags } from "../system/calls.ts";
import { truncate } from "./attribute-changes.ts";
import type { FileContent } from "./file-content.ts";
import { type FolderHandle, opensForWriting } from "./handles.ts";
import type { TreeNode } from "./tree-node.ts";
import type { TreeState } from "./tree-state.ts";

const keepSizeFlag = 1;
const punchFlag = 2;
const zeroRangeFlag = 16;
const seekDataWhence = 3;
const seekHoleWhence = 4;

/** open(2) for writing, or with O_TRUNC: with the content, which is held for the handle. @throws {FsError} EROFS, ENFILE, EIO. */
export function openForChanges(state: TreeState, node: TreeNode, flags: number): FileContent {
  const content = state.contents.hold(node);
  try {
    if (content.file.readOnly && opensForWriting(flags)) throw new FsError("EROFS");
    if ((flags & openFlags.truncate) !== 0) truncate(state, node, 0);
    return content;
  } catch (error) {
    state.contents.release(node);
    throw error;
  }
}

/** fallocate(2): allocating and zeroing, with or without keeping the size, and punching. @throws {FsError} EOPNOTSUPP for other modes. */
export function allocate(content: FileContent, mode: number, offset: number, length: number): void {
  if (offset < 0 || length <= 0) throw new FsError("EINVAL");
  if (mode === 0 || mode === keepSizeFlag) content.stored.allocate(offset, length, mode === keepSizeFlag);
  else if (mode === (punchFlag | keepSizeFlag)) content.stored.punch(offset, length);
  else if ((mode & ~keepSizeFlag) === zeroRangeFlag) {
    content.stored.allocate(offset, length, (mode & keepSizeFlag) !== 0);
    content.stored.punch(offset, length);
  } else throw new FsError("EOPNOTSUPP", `fallocate mode ${mode}`);
  content.touch();
}

/** lseek(2) with SEEK_DATA and SEEK_HOLE. @throws {FsError} ENXIO at or after the end, and where no data follows. */
export function seek(stored: StoredFile, offset: number, whence: number): number {
  if (whence !== seekDataWhence && whence !== seekHoleWhence) throw new FsError("EINVAL");
  if (offset < 0 || offset >= stored.size) throw new FsError("ENXIO");
  const found = whence === seekDataWhence ? stored.seekData(offset) : stored.seekHole(offset);
  if (found === undefined) throw new FsError("ENXIO");
  return found;
}

/**
 * Lists an open folder from a place on. The places are those of the names when reading began (again): an entry that is made
 * later has none until reading begins again, one that is gone is left out.
 *
 * @throws {FsError} EIO at the end, when the folder has damaged entries, which are in no listing.
 */
export function readEntries(
  state: TreeState,
  handle: FolderHandle,
  from: number,
  take: (entry: DirectoryEntry) => boolean,
): void {
  const folder = handle.node;
  if (folder.removed) return;
  const index = state.indexOf(folder);
  if (from === 0 || handle.names === undefined) handle.names = index.shownNames();
  const { names } = handle;
  let given = 0;
  const offer = (name: string, inode: bigint, type: number, next: number): boolean => {
    given += 1;
    return take({ name, inode, type, next });
  };
  if (from <= 0 && !offer(".", folder.inode, fileType.directory, 1)) return;
  if (from <= 1 && !offer("..", folder.parent.inode, fileType.directory, 2)) return;
  for (let place = Math.max(0, from - 2); place < names.length; place += 1) {
    const entry = index.get(names[place] ?? "");
    if (entry === undefined || !state.indexes.verify(folder, index, entry)) continue;
    const name = state.indexes.nameOf(folder, index, entry);
    if (name !== undefined && !offer(name, entry.inode, entry.type, place + 3)) return;
  }
  if (given === 0 && index.damaged.size > 0) throw new FsError("EIO", "a folder with damaged entries");
}
