import { join } from "node:path";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { readSecretDescriptor, readSecretFile, type SecretReading } from "../../crypto/secret-file.ts";
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

const reading: SecretReading = {
  what: "PIN",
  fileName: "PIN file",
  refusal: (message, { hint, cause }) => unsafe(hint === undefined ? message : `${message}: ${hint}`, cause),
};

/**
 * Reads a secret. One newline at the end is not part of it.
 *
 * @returns The caller disposes of it.
 * @throws {DeviceError} `DEVICE_PIN_UNSAFE` unless a file is regular, mode 0600 or 0400 and owned by this user, and the secret
 *   is 1 to 4096 bytes long.
 */
export function readSecretSource(source: SecretSource): SecretBuffer {
  if ("secret" in source) return source.secret.clone();
  if ("descriptor" in source)
    return readSecretDescriptor(source.descriptor, `file descriptor ${source.descriptor}`, reading);
  if ("file" in source) return readSecretFile(source.file, reading);
  const folder = process.env.CREDENTIALS_DIRECTORY;
  if (folder === undefined)
    throw unsafe(`there is no systemd credential ${source.credential}: CREDENTIALS_DIRECTORY is not set`);
  if (!/^[\w.:-]{1,128}$/.test(source.credential) || /^\.+$/.test(source.credential))
    throw unsafe("the name of the systemd credential is not one: use letters, digits and . : _ -");
  return readSecretFile(join(folder, source.credential), reading);
}

function unsafe(message: string, cause?: unknown): DeviceError {
  return new DeviceError("DEVICE_PIN_UNSAFE", message, cause);
}
