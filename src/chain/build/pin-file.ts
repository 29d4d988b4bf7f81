import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { ChainBuildError } from "./errors.ts";

const maxFileBytes = 1024 * 1024;
/** GM/T 0018 names no limit; no card takes more. */
const maxPinBytes = 256;

/**
 * Reads a file with a PIN in it, at most 1 MiB. A link is followed: a launch puts one in the place of a sealed file; what it
 * leads to must be private. The caller disposes of the content.
 *
 * @throws {ChainBuildError} `FILE_UNUSABLE`; `FILE_UNSAFE` when others may read it.
 */
export function readPrivateFile(file: string): SecretBuffer {
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch (cause) {
    throw new ChainBuildError("FILE_UNUSABLE", `${file} cannot be read`, {
      cause,
      hint: "if the PIN is sealed, start the node with `strongroom node launch`",
    });
  }
  const bytes = Buffer.alloc(maxFileBytes);
  try {
    if ((fstatSync(fd).mode & 0o077) !== 0)
      throw new ChainBuildError("FILE_UNSAFE", `${file} holds a PIN and is open to others`, {
        hint: `chmod 600 ${file}`,
      });
    let used = 0;
    for (let got = -1; got !== 0 && used < bytes.length; used += got)
      got = readSync(fd, bytes, used, bytes.length - used, null);
    return SecretBuffer.copyOf(bytes.subarray(0, used));
  } finally {
    bytes.fill(0);
    closeSync(fd);
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
