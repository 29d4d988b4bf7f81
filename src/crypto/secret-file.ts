import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { SecretBuffer } from "./secret-buffer.ts";

/** No secret that a person keeps in a file is longer. */
export const longestSecretBytes = 4096;

const fileType = 0o170000;
const regularFile = 0o100000;

/** How a caller speaks of its secret. */
export interface SecretReading {
  /** What the secret is, for the messages: "PIN", "unlock secret". */
  readonly what: string;
  /** What the file is called in the messages: "PIN file". */
  readonly fileName: string;
  /** Makes the caller's own error. `hint` is what to type. */
  readonly refusal: (message: string, more: { readonly hint?: string; readonly cause?: unknown }) => Error;
}

/**
 * Reads a secret from a file that only its owner can read. One newline at the end is not part of it.
 *
 * @returns The caller disposes of it.
 * @throws What `refusal` makes, unless the file is regular, mode 0600 or 0400, owned by this process's user, and its secret
 *   is 1 to {@link longestSecretBytes} long.
 */
export function readSecretFile(path: string, reading: SecretReading): SecretBuffer {
  const { fileName, refusal } = reading;
  let file: number;
  try {
    // Not blocking: a named pipe must be refused, not waited for.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw refusal(`the ${fileName} ${path} cannot be read: ${codeOf(cause)}`, { cause });
  }
  try {
    const { mode, uid } = fstatSync(file);
    const permissions = mode & 0o777;
    if ((mode & fileType) !== regularFile) throw refusal(`${path} is not a regular file`, {});
    if (permissions !== 0o600 && permissions !== 0o400)
      throw refusal(`the ${fileName} ${path} has mode 0${permissions.toString(8)}, others may read it`, {
        hint: `chmod 600 ${path}`,
      });
    if (uid !== process.getuid?.()) throw refusal(`the ${fileName} ${path} belongs to uid ${uid}, not to you`, {});
    return readSecretDescriptor(file, path, reading);
  } finally {
    closeSync(file);
  }
}

/**
 * Reads a secret from an open descriptor to its end, as {@link readSecretFile}, and leaves it open.
 *
 * @param name - What the descriptor is, for the messages.
 */
export function readSecretDescriptor(file: number, name: string, { what, refusal }: SecretReading): SecretBuffer {
  const bytes = Buffer.allocUnsafeSlow(longestSecretBytes + 1);
  try {
    let length = 0;
    while (length < bytes.length) {
      const read = readNext(file, bytes.subarray(length), (cause) =>
        refusal(`${name} cannot be read: ${codeOf(cause)}`, { cause }),
      );
      if (read === 0) break;
      length += read;
    }
    if (length > longestSecretBytes) throw refusal(`${name} holds more than ${longestSecretBytes} bytes`, {});
    if (length > 0 && bytes[length - 1] === 10) length -= 1;
    if (length === 0) throw refusal(`${name} is empty: an empty ${what} is refused`, {});
    return SecretBuffer.copyOf(bytes.subarray(0, length));
  } finally {
    bytes.fill(0);
  }
}

function readNext(file: number, into: Buffer, refused: (cause: unknown) => Error): number {
  try {
    return readSync(file, into, 0, into.length, null);
  } catch (cause) {
    throw refused(cause);
  }
}

function codeOf(cause: unknown): string {
  return String((cause as NodeJS.ErrnoException).code);
}
