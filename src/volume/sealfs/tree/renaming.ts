import { renameFlags } from "../file-system.ts";
import { FsError } from "../fs-error.ts";
import { renameEntry } from "../system/backing-folder.ts";
import { fileType } from "../system/calls.ts";
import { type ExchangeIntent, exchangeEntries } from "./exchange-intent.ts";
import { removeBacking, requireEmptyFolder, withoutName } from "./removing.ts";
import { TreeEntry } from "./tree-entry.ts";
import { deepestZone } from "./tree-keys.ts";
import type { TreeNode } from "./tree-node.ts";
import type { TreeState } from "./tree-state.ts";

/** A name in a folder. */
export interface Named {
  readonly folder: TreeNode;
  readonly name: string;
}

/**
 * renameat2(2). What had the new name stays until the renamed entry, under a higher sequence, is there: after a crash in
 * between, the folder's next reading removes it.
 *
 * @throws {FsError} EXDEV between zones, and for a folder that has a zone of its own or may hold such; those of renameat2(2).
 */
export function rename(state: TreeState, from: Named, to: Named, flags: number): void {
  if (flags !== 0 && flags !== renameFlags.noReplace && flags !== renameFlags.exchange) throw new FsError("EINVAL");
  const source = state.entry(from.folder, from.name);
  if (flags === renameFlags.exchange) {
    exchange(state, from, source, to, state.entry(to.folder, to.name));
    return;
  }
  const target = state.entryIfAny(to.folder, to.name);
  if (target !== undefined && flags === renameFlags.noReplace) throw new FsError("EEXIST");
  if (target?.fileId === source.fileId) return;
  requireMovable(state, from, source, to);
  if (target !== undefined) requireReplaceable(state, source, to, target);

  const oldDescriptor = state.folders.of(from.folder);
  const newDescriptor = state.folders.of(to.folder);
  const moved = entryUnder(state, to, source, target);
  if (target === undefined) state.sidecars.keep(newDescriptor, to.folder.idBytes, moved.shown, to.name);
  const move = () => {
    renameEntry(oldDescriptor, source.backingName, newDescriptor, moved.backingName);
    if (target !== undefined) removeReplaced(state, newDescriptor, to.folder, target);
  };
  try {
    if (target === undefined) move();
    else withoutName(state, to.folder, target, move);
  } catch (error) {
    if (target === undefined) state.sidecars.drop(newDescriptor, moved.shown);
    throw error;
  }
  state.indexes.delete(from.folder, source);
  state.indexes.insert(to.folder, moved);
  changePlace(state, from.folder, source, to, moved);
  if (source.shown !== moved.shown || from.folder !== to.folder) state.sidecars.drop(oldDescriptor, source.shown);
}

function exchange(state: TreeState, from: Named, source: TreeEntry, to: Named, target: TreeEntry): void {
  if (source.fileId === target.fileId) return;
  requireMovable(state, from, source, to);
  requireMovable(state, to, target, from);
  const first = entryUnder(state, to, source, target);
  const second = entryUnder(state, from, target, source);
  const fromPath = backingPath(from.folder);
  const toPath = backingPath(to.folder);
  const intent: ExchangeIntent = [
    { from: fromPath, name: source.backingName, to: toPath, newName: first.backingName },
    { from: toPath, name: target.backingName, to: fromPath, newName: second.backingName },
  ];
  exchangeEntries(state.keys, state.rootDescriptor, intent);
  state.indexes.insert(to.folder, first);
  state.indexes.insert(from.folder, second);
  changePlace(state, from.folder, source, to, first);
  changePlace(state, to.folder, target, from, second);
}

/** The entry that a file gets under another name; above what has the name now. */
function entryUnder(state: TreeState, to: Named, source: TreeEntry, target: TreeEntry | undefined): TreeEntry {
  const { idBytes, zone } = to.folder;
  if (target !== undefined) state.sequences.seen(target.sequence);
  const sequence = state.sequences.next();
  const parsed = { shown: state.names.shown(idBytes, to.name), fileId: source.fileId, sequence };
  const backingName = state.names.entryName(idBytes, zone.zoneId, source.type, parsed);
  return new TreeEntry(backingName, source.type, source.inode, true);
}

function requireMovable(state: TreeState, from: Named, source: TreeEntry, to: Named): void {
  if (!from.folder.zone.zoneId.equals(to.folder.zone.zoneId)) throw new FsError("EXDEV");
  if (source.type !== fileType.directory) return;
  const node = state.nodes.known(source.fileId);
  if (node !== undefined && to.folder.isWithin(node)) throw new FsError("EINVAL", "a folder into itself");
  const paths = [from, to].map(({ folder, name }) => {
    const above = folder.path(deepestZone - 1);
    return above === undefined ? undefined : [...above, name];
  });
  if (paths.some((path) => path !== undefined && state.keys.holdsZones(path)))
    throw new FsError("EXDEV", "a folder with zones of its own");
}

function requireReplaceable(state: TreeState, source: TreeEntry, { folder, name }: Named, target: TreeEntry): void {
  const isFolder = source.type === fileType.directory;
  if (target.type !== fileType.directory) {
    if (isFolder) throw new FsError("ENOTDIR");
    return;
  }
  if (!isFolder) throw new FsError("EISDIR");
  requireEmptyFolder(state, folder, name, target);
}

/** The new name holds already; an old entry that stays is removed when the folder is read again. */
function removeReplaced(state: TreeState, descriptor: number, folder: TreeNode, target: TreeEntry): void {
  const { backingName, fileId } = target;
  try {
    removeBacking(descriptor, target);
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    state.leftovers.add(backingName);
    state.report({ kind: "entry-kept", folderId: folder.id, fileId, backingName, detail: error.message });
  }
}

function changePlace(state: TreeState, old: TreeNode, oldEntry: TreeEntry, to: Named, entry: TreeEntry): void {
  const node = state.nodes.known(entry.fileId);
  if (node === undefined) return;
  if (node.isFolder) node.folderName = to.name;
  state.nodes.addPlace(node, { folder: to.folder, entry });
  if (old !== to.folder || oldEntry.shown !== entry.shown) state.nodes.removePlace(node, old, oldEntry);
}

/** The names of the backing folders from the root down to this one. */
function backingPath(folder: TreeNode): string[] {
  const names: string[] = [];
  for (let { place } = folder; place !== undefined; place = place.folder.place) names.push(place.entry.backingName);
  return names.reverse();
}
