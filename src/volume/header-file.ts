import { closeSync, constants, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { VolumeError } from "./errors.ts";
import { maxHeaderBytes } from "./header.ts";
import type { PlacePaths } from "./place.ts";

/**
 * Reads a volume's header file: at most a byte more than the largest header, so that a longer file is refused by its length.
 *
 * @throws {VolumeError} `VOLUME_ABSENT`, `VOLUME_HEADER_INVALID` when it is not a plain file, `VOLUME_SYSTEM`.
 */
export function readHeaderFile(place: PlacePaths): Buffer {
  if (!existsSync(place.headerFile))
    throw new VolumeError("VOLUME_ABSENT", `there is no volume at ${place.folder}: volume.header is missing`);
  const bytes = Buffer.alloc(maxHeaderBytes + 1);
  const fd = openHeader(place.headerFile);
  try {
    if (!fstatSync(fd).isFile())
      throw new VolumeError("VOLUME_HEADER_INVALID", `${place.headerFile} is not a file; restore it from a backup`);
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(fd);
  }
}

/** Without following a link, and without waiting on a FIFO that stands in the file's place. */
function openHeader(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ELOOP")
      throw new VolumeError("VOLUME_HEADER_INVALID", `${path} is a symbolic link; restore it from a backup`);
    throw new VolumeError("VOLUME_SYSTEM", `${path} cannot be opened: ${message}`, error);
  }
}
