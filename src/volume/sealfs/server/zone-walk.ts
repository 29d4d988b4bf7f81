import { FsError } from "../fs-error.ts";
import { fileType, openFlags } from "../system/calls.ts";
import type { FileContent } from "../tree/file-content.ts";
import type { SealedTree } from "../tree/sealed-tree.ts";
import type { SlicedWork } from "./sliced-tasks.ts";

const rootNode = 1;

/** What a walk over the files of a zone needs and does. */
export interface ZoneVisit {
  readonly tree: SealedTree;
  /** The zone's folder, from the root down. */
  readonly path: readonly string[];
  /** Whether a folder below is part of the same zone. */
  readonly isOfZone: (path: readonly string[]) => boolean;
  /** Works on a file, in steps; it stays open meanwhile. */
  readonly visit: (content: FileContent) => SlicedWork | undefined;
  /** Told of what could not be looked at. */
  readonly damaged: (path: readonly string[], why: string) => void;
}

/**
 * Goes through all files of a zone that have a name, in steps: each once, whatever its number of links. Files that are made or moved
 * meanwhile may be left out; {@link SealedTree.moves} tells of the latter.
 */
export function* walkZone(zone: ZoneVisit): Generator<number | undefined, void> {
  const seen = new Set<bigint>();
  const held: number[] = [];
  try {
    let node = rootNode;
    for (const name of zone.path) {
      node = zone.tree.lookup(node, name).node;
      held.push(node);
    }
    yield* walkFolder(zone, node, zone.path, seen);
  } catch (error) {
    if (!isGone(error)) tell(zone, zone.path, error);
  } finally {
    for (const node of held.reverse()) zone.tree.forget(node, 1);
  }
}

/** True when a folder or file is there, or cannot be looked at; false when it has surely gone. */
export function isThere(tree: SealedTree, path: readonly string[]): boolean {
  const held: number[] = [];
  try {
    let node = rootNode;
    for (const name of path) {
      node = tree.lookup(node, name).node;
      held.push(node);
    }
    return true;
  } catch (error) {
    return !isGone(error);
  } finally {
    for (const node of held.reverse()) tree.forget(node, 1);
  }
}

function* walkFolder(
  zone: ZoneVisit,
  folder: number,
  path: readonly string[],
  seen: Set<bigint>,
): Generator<number | undefined, void> {
  for (const name of namesIn(zone, folder, path)) {
    const below = [...path, name];
    let node: number | undefined;
    try {
      const { node: found, attributes } = zone.tree.lookup(folder, name);
      node = found;
      const type = attributes.mode & fileType.mask;
      if (type === fileType.directory && zone.isOfZone(below)) yield* walkFolder(zone, node, below, seen);
      if (type === fileType.regular && !(attributes.links > 1 && seen.has(attributes.inode))) {
        if (attributes.links > 1) seen.add(attributes.inode);
        yield* visitFile(zone, node);
      }
    } catch (error) {
      if (!isGone(error)) tell(zone, below, error);
    } finally {
      if (node !== undefined) zone.tree.forget(node, 1);
    }
    yield;
  }
}

function* visitFile({ tree, visit }: ZoneVisit, node: number): Generator<number | undefined, void> {
  const handle = openForWork(tree, node);
  try {
    const steps = visit(tree.contentOf(handle));
    if (steps === undefined) return;
    for (let step = steps.next(); step.done !== true; step = steps.next()) yield step.value;
  } finally {
    tree.release(handle);
  }
}

/** Where nothing can be written, for reading. */
function openForWork(tree: SealedTree, node: number): number {
  try {
    return tree.open(node, openFlags.readWrite);
  } catch (error) {
    if (!(error instanceof FsError) || error.code !== "EROFS") throw error;
    return tree.open(node, 0);
  }
}

function namesIn(zone: ZoneVisit, folder: number, path: readonly string[]): readonly string[] {
  const names: string[] = [];
  const handle = zone.tree.openDirectory(folder);
  try {
    for (let from = 0, before = -1; from !== before; ) {
      before = from;
      zone.tree.readDirectory(handle, from, ({ name, next }) => {
        if (name !== "." && name !== "..") names.push(name);
        from = next;
        return true;
      });
    }
  } catch (error) {
    tell(zone, path, error);
  } finally {
    zone.tree.releaseDirectory(handle);
  }
  return names;
}

function tell(zone: ZoneVisit, path: readonly string[], error: unknown): void {
  if (!(error instanceof FsError)) throw error;
  zone.damaged(path, error.message);
}

function isGone(error: unknown): boolean {
  return error instanceof FsError && (error.code === "ENOENT" || error.code === "ENOTDIR" || error.code === "ESTALE");
}
