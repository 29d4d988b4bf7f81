import type { DirectoryEntry, Entry, FileSystem } from "../file-system.ts";
import { FsError } from "../fs-error.ts";
import { direntBytes, entryOutBytes, type Reply } from "./reply.ts";
import type { Request } from "./request.ts";
import { largestTransferBytes } from "./session.ts";

/** OPENDIR: fuse_open_in. Answered by fuse_open_out. */
export function opendir(fileSystem: FileSystem, request: Request, reply: Reply): void {
  request.skip(8);
  request.end();
  reply.opened(fileSystem.openDirectory(request.node), 0);
}

/** READDIR: fuse_read_in. Answered by as many fuse_dirent as fit. */
export function readdir(fileSystem: FileSystem, request: Request, reply: Reply): void {
  const { handle, from, room } = placeOf(request);
  for (const entry of entriesThatFit(fileSystem, handle, from, room, 0)) reply.directoryEntry(entry);
}

/**
 * READDIRPLUS: fuse_read_in. Answered by fuse_direntplus, each of which counts as a lookup; "." and "..", and entries that can't be
 * looked up now, have node 0 and count as none.
 */
export function readdirplus(fileSystem: FileSystem, request: Request, reply: Reply): void {
  const { handle, from, room } = placeOf(request);
  for (const entry of entriesThatFit(fileSystem, handle, from, room, entryOutBytes)) {
    const found =
      entry.name === "." || entry.name === ".." ? undefined : lookedUp(fileSystem, request.node, entry.name);
    if (found === undefined) reply.zeros(entryOutBytes);
    else reply.entry(found);
    reply.directoryEntry(entry);
  }
}

/** An entry that fails is still listed; whoever then uses it is told why. */
function lookedUp(fileSystem: FileSystem, parent: number, name: string): Entry | undefined {
  try {
    return fileSystem.lookup(parent, name);
  } catch (error) {
    if (error instanceof FsError) return undefined;
    throw error;
  }
}

function placeOf(request: Request): { handle: number; from: number; room: number } {
  const handle = request.handle();
  const from = request.offset();
  const room = request.u32();
  request.skip(20);
  request.end();
  if (room > largestTransferBytes) throw new FsError("EINVAL", `a READDIR of ${room} bytes`);
  return { handle, from, room };
}

function entriesThatFit(
  fileSystem: FileSystem,
  handle: number,
  from: number,
  room: number,
  extraBytes: number,
): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  let left = room;
  fileSystem.readDirectory(handle, from, (entry) => {
    left -= extraBytes + direntBytes(entry.name.length);
    if (left < 0) return false;
    entries.push(entry);
    return true;
  });
  return entries;
}
