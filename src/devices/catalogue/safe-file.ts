import { createHash } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync, realpathSync, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";
import { CatalogueError } from "./errors.ts";

const groupOrOthersMayWrite = 0o022;
const others = 0o077;
const stickyBit = 0o1000;
const maxLibraryBytes = 512 * 1024 * 1024;

/**
 * Reads a file that only its owner can read and change: regular, mode 0600 or 0400, owned by this user or root, in a folder that
 * nobody else can rename it away in. The answer is the caller's to wipe.
 *
 * @throws {CatalogueError} `CATALOGUE_UNSAFE`, `CATALOGUE_INVALID` when it is larger than `maxBytes`.
 */
export function readPrivateFile(path: string, maxBytes: number): Buffer {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw new CatalogueError("CATALOGUE_UNSAFE", `${path} cannot be read: ${(cause as NodeJS.ErrnoException).code}`, {
      cause,
    });
  }
  try {
    const found = fstatSync(file);
    mustBeOwn(path, found);
    if (!found.isFile()) throw new CatalogueError("CATALOGUE_UNSAFE", `${path} is not a regular file`);
    if ((found.mode & others) !== 0)
      throw new CatalogueError("CATALOGUE_UNSAFE", `${path} has mode 0${(found.mode & 0o777).toString(8)}`, {
        hint: `chmod 600 ${path}`,
      });
    mustBeKeptFolder(dirname(path));
    if (found.size > maxBytes) throw new CatalogueError("CATALOGUE_INVALID", `${path} is over ${maxBytes} bytes`);
    return readWhole(file, path, maxBytes);
  } finally {
    closeSync(file);
  }
}

/**
 * Checks a library before a process of ours runs its code: a regular file that, like every folder above it, only root or this
 * user can change; with a pinned SHA-256, the very file that was meant.
 *
 * @throws {CatalogueError} `LIBRARY_UNUSABLE`, `CATALOGUE_UNSAFE`, `LIBRARY_CHANGED`.
 */
export function checkLibrary(path: string, sha256?: string): void {
  let real: string;
  let found: Stats;
  try {
    real = realpathSync(path);
    found = statSync(real);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new CatalogueError("LIBRARY_UNUSABLE", `the library ${path} cannot be used: ${code}`, { cause });
  }
  if (!found.isFile()) throw new CatalogueError("LIBRARY_UNUSABLE", `the library ${path} is not a file`);
  mustBeOwn(real, found);
  if ((found.mode & groupOrOthersMayWrite) !== 0)
    throw new CatalogueError("CATALOGUE_UNSAFE", `the library ${real} can be written by others`, {
      hint: `chmod go-w ${real}`,
    });
  // The path as written too: a link in a folder of others can be pointed elsewhere.
  for (const folder of new Set([...foldersAbove(real), ...foldersAbove(path)])) mustBeKeptFolder(folder);
  if (sha256 !== undefined && sha256OfFile(real) !== sha256)
    throw new CatalogueError("LIBRARY_CHANGED", `the library ${real} has another SHA-256 than library_sha256`, {
      hint: "when the vendor's update is meant, change devices.toml and trust it again",
    });
}

/** SHA-256 of a library, hex. */
export function sha256OfFile(path: string): string {
  const hash = createHash("sha256");
  const file = openSync(path, "r");
  const chunk = Buffer.alloc(1 << 20);
  try {
    for (let total = 0; ; ) {
      const read = readSync(file, chunk);
      if (read === 0) return hash.digest("hex");
      total += read;
      if (total > maxLibraryBytes)
        throw new CatalogueError("LIBRARY_UNUSABLE", `the library ${path} is over ${maxLibraryBytes} bytes`);
      hash.update(chunk.subarray(0, read));
    }
  } finally {
    closeSync(file);
  }
}

function foldersAbove(path: string): readonly string[] {
  const above = dirname(path);
  return above === path ? [] : [above, ...foldersAbove(above)];
}

function mustBeOwn(path: string, { uid }: Stats): void {
  if (uid !== 0 && uid !== process.getuid?.())
    throw new CatalogueError("CATALOGUE_UNSAFE", `${path} belongs to uid ${uid}, neither to you nor to root`);
}

/** A folder whose entries only its owner (root or this user) can rename; with the sticky bit, as /tmp has it, each owner its own. */
function mustBeKeptFolder(path: string): void {
  const found = statSync(path);
  mustBeOwn(path, found);
  if ((found.mode & groupOrOthersMayWrite) !== 0 && (found.mode & stickyBit) === 0)
    throw new CatalogueError("CATALOGUE_UNSAFE", `the folder ${path} can be written by others`, {
      hint: `chmod go-w ${path}`,
    });
}

function readWhole(file: number, path: string, maxBytes: number): Buffer {
  const bytes = Buffer.alloc(maxBytes + 1);
  let length = 0;
  for (;;) {
    const read = readSync(file, bytes, length, bytes.length - length, null);
    length += read;
    if (length > maxBytes) throw new CatalogueError("CATALOGUE_INVALID", `${path} is over ${maxBytes} bytes`);
    if (read === 0) return bytes.subarray(0, length);
  }
}
