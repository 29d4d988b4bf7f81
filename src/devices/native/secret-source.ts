import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { DeviceError } from "../errors.ts";

/**
 * Where a device's PIN comes from; never argv or an environment variable. `secret` stays the caller's: it is copied, and the
 * caller disposes of its own.
 */
export type SecretSource =
  | { readonly file: string }
  | { readonly descriptor: number }
  /** Name of a systemd credential (`LoadCredential=NAME:…`). */
  | { readonly credential: string }
  | { readonly secret: SecretBuffer };

const longestSecretBytes = 4096;
const fileType = 0o170000;
const regularFile = 0o100000;

/**
 * Reads a secret. One newline at the end is not part of it.
 *
 * @returns The caller disposes of it.
 * @throws {DeviceError} `DEVICE_PIN_UNSAFE` unless a file is regular, mode 0600 or 0400 and owned by this user, and the secret
 *   is 1 to 4096 bytes long.
 */
export function readSecretSource(source: SecretSource): SecretBuffer {
  if ("secret" in source) return source.secret.clone();
  if ("descriptor" in source) return readAll(source.descriptor, `file descriptor ${source.descriptor}`);
  if ("file" in source) return readPrivateFile(source.file);
  const folder = process.env.CREDENTIALS_DIRECTORY;
  if (folder === undefined)
    throw unsafe(`there is no systemd credential ${source.credential}: CREDENTIALS_DIRECTORY is not set`);
  if (!/^[\w.:-]{1,128}$/.test(source.credential) || /^\.+$/.test(source.credential))
    throw unsafe("the name of the systemd credential is not one: use letters, digits and . : _ -");
  return readPrivateFile(join(folder, source.credential));
}

function readPrivateFile(path: string): SecretBuffer {
  let file: number;
  try {
    // Not blocking: a named pipe must be refused, not waited for.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw unsafe(`the PIN file ${path} cannot be read: ${(cause as NodeJS.ErrnoException).code}`, cause);
  }
  try {
    const { mode, uid } = fstatSync(file);
    const permissions = mode & 0o777;
    if ((mode & fileType) !== regularFile) throw unsafe(`${path} is not a regular file`);
    if (permissions !== 0o600 && permissions !== 0o400)
      throw unsafe(`the PIN file ${path} has mode 0${permissions.toString(8)}, others may read it: chmod 600 ${path}`);
    if (uid !== process.getuid?.())
      throw unsafe(`the PIN file ${path} belongs to uid ${uid}, not to this process's user`);
    return readAll(file, path);
  } finally {
    closeSync(file);
  }
}

function readAll(file: number, name: string): SecretBuffer {
  const bytes = Buffer.allocUnsafeSlow(longestSecretBytes + 1);
  try {
    let length = 0;
    for (;;) {
      const read = readSync(file, bytes, length, bytes.length - length, null);
      if (read === 0) break;
      length += read;
      if (length > longestSecretBytes) throw unsafe(`${name} holds more than ${longestSecretBytes} bytes`);
    }
    if (length > 0 && bytes[length - 1] === 10) length -= 1;
    if (length === 0) throw unsafe(`${name} is empty: an empty PIN is refused`);
    return SecretBuffer.copyOf(bytes.subarray(0, length));
  } catch (cause) {
    if (cause instanceof DeviceError) throw cause;
    throw unsafe(`${name} cannot be read: ${(cause as NodeJS.ErrnoException).code}`, cause);
  } finally {
    bytes.fill(0);
  }
}

function unsafe(message: string, cause?: unknown): DeviceError {
  return new DeviceError("DEVICE_PIN_UNSAFE", message, cause);
}
