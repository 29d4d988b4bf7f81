import { closeSync, constants, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { dirname, join } from "node:path";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { ChainBuildError } from "./errors.ts";

const maxFileBytes = 1024 * 1024;
/** GM/T 0018 names no limit; no card takes more. */
const maxPinBytes = 256;

/** How a file with a secret is read, and spoken of. */
export interface PrivateFileReading {
  /** What the file holds, for messages. @defaultValue `"a PIN"` */
  readonly holds?: string;
  /** A longer file is refused. @defaultValue 1 MiB */
  readonly maxBytes?: number;
}

/**
 * Reads a file with a secret in it. A link is followed: a launch puts one in the place of a sealed file; what it
 * leads to must be private. The caller disposes of the content.
 *
 * @throws {ChainBuildError} `FILE_UNUSABLE` when it can't be read, is no regular file, or is too long; `FILE_UNSAFE` when others
 *   may read it.
 */
export function readPrivateFile(file: string, reading: PrivateFileReading = {}): SecretBuffer {
  const { holds = "a PIN", maxBytes = maxFileBytes } = reading;
  let fd: number;
  try {
    // Not blocking: a named pipe must be refused, not waited for.
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== "ENOENT") throw new ChainBuildError("FILE_UNUSABLE", `${file} cannot be read: ${code}`, { cause });
    throw new ChainBuildError("FILE_UNUSABLE", `${file} is missing: it holds ${holds}`, {
      cause,
      ...(isSealed(file) ? { hint: "it is sealed: start the node by `strongroom node launch`" } : {}),
    });
  }
  try {
    const status = fstatSync(fd);
    if (!status.isFile()) throw new ChainBuildError("FILE_UNUSABLE", `${file} is not a regular file`);
    if ((status.mode & 0o077) !== 0)
      throw new ChainBuildError("FILE_UNSAFE", `${file} holds ${holds} and is open to others`, {
        hint: `chmod 600 ${file}`,
      });
    return readToEnd(fd, file, maxBytes);
  } finally {
    closeSync(fd);
  }
}

/** Whether the file is one of a node whose manifest has files sealed: a launch puts them there for as long as the node runs. */
function isSealed(file: string): boolean {
  return existsSync(join(dirname(dirname(file)), "node.toml"));
}

function readToEnd(fd: number, file: string, maxBytes: number): SecretBuffer {
  const bytes = Buffer.allocUnsafeSlow(maxBytes + 1);
  try {
    let used = 0;
    for (let got = -1; got !== 0 && used < bytes.length; used += got)
      got = readSync(fd, bytes, used, bytes.length - used, null);
    if (used > maxBytes) throw new ChainBuildError("FILE_UNUSABLE", `${file} has more than ${maxBytes} bytes`);
    return SecretBuffer.copyOf(bytes.subarray(0, used));
  } catch (cause) {
    if (cause instanceof ChainBuildError) throw cause;
    throw new ChainBuildError("FILE_UNUSABLE", `${file} cannot be read`, { cause });
  } finally {
    bytes.fill(0);
  }
}

/** The line of a file of one line. */
export function withoutLineEnd(bytes: Buffer): Buffer {
  const end = bytes.at(-1) === 0x0a ? bytes.length - 1 : bytes.length;
  return bytes.subarray(0, bytes[end - 1] === 0x0d ? end - 1 : end);
}

/**
 * A PIN of its own: 1 to 256 bytes without control characters.
 *
 * @param file - Where it was read, for the message.
 * @throws {ChainBuildError} `CONFIG_INVALID`.
 */
export function copiedPin(file: string, pin: Buffer): SecretBuffer {
  if (pin.length === 0 || pin.length > maxPinBytes || pin.some((byte) => byte < 0x20))
    throw new ChainBuildError("CONFIG_INVALID", `${file}: a PIN is 1 to ${maxPinBytes} bytes on one line`);
  return SecretBuffer.copyOf(pin);
}
