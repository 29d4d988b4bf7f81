import { existsSync, lstatSync, readdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { VolumeError } from "./errors.ts";
import type { VolumePlace } from "./volume.ts";

/** The paths of a volume's folder. Names are part of the format (docs/volumes.md). */
export interface PlacePaths {
  readonly folder: string;
  readonly headerFile: string;
  readonly lockFile: string;
  /** Present only while a creation is at work or was interrupted. */
  readonly creationMarker: string;
  /** Where the server of an open volume is asked (`sealfs`). */
  readonly controlSocket: string;
  /** Ciphertext that a program of ours keeps (`gocryptfs`). */
  readonly store: string;
  /** The mount point, or the folder the kernel or the program encrypts. */
  readonly root: string;
  readonly data: string;
  readonly temporary: string;
  readonly logs: string;
}

/** @param at - By its real path in what is returned, where it is there already. */
export function placePaths(at: VolumePlace): PlacePaths {
  const folder = existsSync(at.folder) ? realpathSync(at.folder) : at.folder;
  const root = join(folder, "root");
  return {
    folder,
    headerFile: join(folder, "volume.header"),
    lockFile: join(folder, "volume.lock"),
    creationMarker: join(folder, "volume.creating"),
    controlSocket: join(folder, "volume.control"),
    store: join(folder, "store"),
    root,
    data: join(root, "data"),
    temporary: join(root, "tmp"),
    logs: join(root, "logs"),
  };
}

/** Names in a folder, or none when it is missing. */
export function namesIn(folder: string): string[] {
  return isFolder(folder) ? readdirSync(folder) : [];
}

/** False for a link to one. */
export function isFolder(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** @throws {VolumeError} `VOLUME_PLACE_NOT_EMPTY` naming up to three of the entries. */
export function refuseUnlessEmpty(folder: string, remedy: string): void {
  const names = namesIn(folder);
  if (names.length === 0) return;
  const shown = names
    .slice(0, 3)
    .map((name) => JSON.stringify(name))
    .join(", ");
  throw new VolumeError(
    "VOLUME_PLACE_NOT_EMPTY",
    `${folder} holds ${names.length} entries (${shown}${names.length > 3 ? ", …" : ""}); ${remedy}`,
  );
}
