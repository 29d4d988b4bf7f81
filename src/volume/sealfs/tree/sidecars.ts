import { FsError } from "../fs-error.ts";
import { createFile, openFile, replaceEntry, syncFolder, unlinkFile } from "../system/backing-folder.ts";
import { SystemFile } from "../system/system-file.ts";
import type { EntryNames } from "./entry-names.ts";

const mostSidecarBytes = 512;

/** Writes a small file so that it is whole or not there, also after a power loss. @throws {FsError} */
export function writeWhole(folder: number, name: string, content: Buffer): void {
  const newName = `${name}~new`;
  removeIfThere(folder, newName);
  const file = new SystemFile(createFile(folder, newName, 0o600));
  try {
    file.write(0, content);
    file.sync();
  } finally {
    file.close();
  }
  replaceEntry(folder, newName, folder, name);
  syncFolder(folder);
}

/** At most so many bytes of a file. @throws {FsError} */
export function readSmall(folder: number, name: string, mostBytes: number): Buffer {
  const file = new SystemFile(openFile(folder, name, "read"));
  try {
    const content = Buffer.alloc(mostBytes);
    return content.subarray(0, file.read(0, content));
  } finally {
    file.close();
  }
}

/** Removes a file; nothing happens when it cannot be done. */
export function removeIfThere(folder: number, name: string): void {
  try {
    unlinkFile(folder, name);
  } catch {
    // Not there, or the backing folder is read-only: then the next reading of the folder tries again.
  }
}

/** The files beside the entries of a folder that keep names too long for the backing folder. */
export class Sidecars {
  readonly #names: EntryNames;

  constructor(names: EntryNames) {
    this.#names = names;
  }

  /** Before an entry of this name is made, durably. Does nothing for a name that fits. @throws {FsError} */
  keep(folder: number, folderId: Buffer, shown: string, name: string): void {
    if (!this.#names.isHashed(shown)) return;
    writeWhole(folder, this.#names.sidecarName(shown), this.#names.sealLongName(folderId, shown, name));
  }

  /** After the last entry of this name is gone. */
  drop(folder: number, shown: string): void {
    if (this.#names.isHashed(shown)) removeIfThere(folder, this.#names.sidecarName(shown));
  }

  /** The name that a hashed one stands for; undefined when its file is missing, altered or another folder's. @throws {FsError} */
  read(folder: number, folderId: Buffer, shown: string): string | undefined {
    let sealed: Buffer;
    try {
      sealed = readSmall(folder, this.#names.sidecarName(shown), mostSidecarBytes);
    } catch (error) {
      if (!(error instanceof FsError) || error.code !== "ENOENT") throw error;
      return undefined;
    }
    const name = this.#names.openLongName(folderId, shown, sealed);
    return name !== undefined && this.#names.shown(folderId, name) === shown ? name : undefined;
  }
}
