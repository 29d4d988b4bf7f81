import { closeSync, openSync, readSync } from "node:fs";

/** What people do not know by the system's code alone. */
const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "a part of its path is no folder",
  EISDIR: "it is a folder",
  EACCES: "this user may not read it",
  ELOOP: "its links go round in a circle",
  ENAMETOOLONG: "its name is too long",
};

/** A text that was named on the command line, or in settings, cannot be had. The message says of which file, and why. */
export class UnreadableText extends Error {
  override readonly name = "UnreadableText";
}

/**
 * A whole text, of a file or a pipe.
 *
 * @param maxBytes - No more than that is read, whatever the file says that it has.
 * @throws {UnreadableText} It is not there, may not be read, is a folder, longer, or not UTF-8.
 */
export function readTextFile(path: string, maxBytes: number): string {
  const bytes = readAtMost(path, maxBytes + 1);
  if (bytes.length > maxBytes) throw new UnreadableText(`${path} is longer than ${maxBytes} bytes`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new UnreadableText(`${path} is not text in UTF-8`, { cause });
  }
}

function readAtMost(path: string, bytes: number): Buffer {
  let fd: number | undefined;
  try {
    fd = openSync(path, "r");
    const buffer = Buffer.alloc(bytes);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes; length += read)
      read = readSync(fd, buffer, length, bytes - length, null);
    return buffer.subarray(0, length);
  } catch (cause) {
    const { code = "" } = cause as NodeJS.ErrnoException;
    throw new UnreadableText(`${path} cannot be read: ${reasons[code] ?? code}`, { cause });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
