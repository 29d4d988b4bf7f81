import { FsError } from "../fs-error.ts";
import { at, cString, fileType, openFlags, systemCall } from "./calls.ts";

/**
 * Calls on names in a folder that a descriptor is open on (O_PATH is enough for all but listing and syncing). Symbolic links
 * are never followed. Each fails with `FsError`.
 */

/** An entry as the folder lists it. */
export interface ListedEntry {
  readonly name: string;
  readonly inode: bigint;
  /** S_IFMT bits; 0 where the file system does not say. */
  readonly type: number;
}

const { closeOnExec, create, directory, exclusive, noAccessTime, noFollow, nonBlocking, path, readOnly, readWrite } =
  openFlags;

/** Opens a folder to name things in. @param from - A descriptor, or `at.currentFolder`. */
export function openFolder(from: number, name: string): number {
  return systemCall("openat", from, cString(name), path | directory | noFollow | closeOnExec, 0);
}

/** An O_PATH descriptor of whatever has the name, a symbolic link itself included: to see what it is before anything is done to it. */
export function holdInode(folder: number, name: string): number {
  return systemCall("openat", folder, cString(name), path | noFollow | closeOnExec, 0);
}

/** Opens a regular file for reading and, unless told, writing. A FIFO that was put in its place holds nothing up. */
export function openFile(folder: number, name: string, access: "read" | "write"): number {
  return openQuietly(folder, name, (access === "write" ? readWrite : readOnly) | noFollow);
}

/** What the server reads is no access by a program; only root and the owner may ask for that. */
function openQuietly(folder: number, name: string, how: number): number {
  const flags = how | nonBlocking | closeOnExec;
  try {
    return systemCall("openat", folder, cString(name), flags | noAccessTime, 0);
  } catch (error) {
    if (!(error instanceof FsError) || error.code !== "EPERM") throw error;
    return systemCall("openat", folder, cString(name), flags, 0);
  }
}

/** Opens the regular file that an O_PATH descriptor holds, whether it still has a name or not. */
export function reopenFile(held: number, access: "read" | "write"): number {
  return openQuietly(at.currentFolder, `/proc/self/fd/${held}`, access === "write" ? readWrite : readOnly);
}

/** Makes a regular file and opens it. EEXIST when there is one. */
export function createFile(folder: number, name: string, mode: number): number {
  const flags = readWrite | create | exclusive | noFollow | closeOnExec;
  return systemCall("openat", folder, cString(name), flags, mode & 0o7777);
}

export function makeFolder(folder: number, name: string, mode: number): void {
  systemCall("mkdirat", folder, cString(name), mode & 0o7777);
}

/** FIFOs, sockets and devices. @param device - The kernel's 32-bit encoding, which is glibc's for what fits in it. */
export function makeSpecial(folder: number, name: string, mode: number, device: number): void {
  systemCall("mknodat", folder, cString(name), mode, device);
}

export function makeSymlink(folder: number, name: string, target: string): void {
  systemCall("symlinkat", cString(target), folder, cString(name));
}

const linkTarget = Buffer.alloc(4096);

export function readSymlink(folder: number, name: string): string {
  const length = systemCall("readlinkat", folder, cString(name), linkTarget, linkTarget.length);
  return linkTarget.toString("latin1", 0, length);
}

/** Of a symbolic link that an O_PATH descriptor holds. */
export function readHeldSymlink(held: number): string {
  return readSymlink(held, "");
}

export function linkFile(folder: number, name: string, newFolder: number, newName: string): void {
  systemCall("linkat", folder, cString(name), newFolder, cString(newName), 0);
}

export function unlinkFile(folder: number, name: string): void {
  systemCall("unlinkat", folder, cString(name), 0);
}

export function removeFolder(folder: number, name: string): void {
  systemCall("unlinkat", folder, cString(name), at.removeFolder);
}

const noReplace = 1;

/** Never replaces: EEXIST when there is a new name already. */
export function renameEntry(folder: number, name: string, newFolder: number, newName: string): void {
  systemCall("renameat2", folder, cString(name), newFolder, cString(newName), noReplace);
}

/** As rename(2): what had the new name is replaced. */
export function replaceEntry(folder: number, name: string, newFolder: number, newName: string): void {
  systemCall("renameat2", folder, cString(name), newFolder, cString(newName), 0);
}

/** fsync(2) of a folder, given an O_PATH descriptor of it. */
export function syncFolder(folder: number): void {
  withReadable(folder, (descriptor) => systemCall("fsync", descriptor));
}

const listing = Buffer.alloc(65_536);
const shortestRecordBytes = 20;

/** All entries but "." and "..", in the folder's order. */
export function listFolder(folder: number): ListedEntry[] {
  return withReadable(folder, (descriptor) => {
    const entries: ListedEntry[] = [];
    for (;;) {
      const end = systemCall("getdents", descriptor, listing, listing.length);
      if (end === 0) return entries;
      // struct linux_dirent64: inode 8, offset 8, record length 2, type 1, name, NUL.
      for (let start = 0; start < end; ) {
        const recordBytes = listing.readUInt16LE(start + 16);
        if (recordBytes < shortestRecordBytes) throw new FsError("EIO", "a folder's listing is not well formed");
        const nameEnd = listing.indexOf(0, start + 19);
        const name = listing.toString("latin1", start + 19, nameEnd);
        const type = (listing[start + 18] ?? 0) << 12;
        if (name !== "." && name !== "..") entries.push({ name, inode: listing.readBigUInt64LE(start), type });
        start += recordBytes;
      }
    }
  });
}

/** Lends a descriptor of a folder that can be listed and synced, which an O_PATH one cannot. */
export function withReadable<T>(folder: number, use: (descriptor: number) => T): T {
  const descriptor = systemCall("openat", folder, cString("."), readOnly | directory | closeOnExec, 0);
  try {
    return use(descriptor);
  } finally {
    systemCall("close", descriptor);
  }
}

/** True for what a folder can hold and a file system keeps as it is: neither a regular file, a folder nor a link. */
export function isSpecial(mode: number): boolean {
  const type = mode & fileType.mask;
  return (
    type === fileType.fifo ||
    type === fileType.socket ||
    type === fileType.characterDevice ||
    type === fileType.blockDevice
  );
}
