import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { ReadStream } from "node:tty";
import type { Command } from "commander";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { CommandFailure, exitCodes } from "./failure.ts";

/** Where the unlock secret may come from. Never from argv or an environment variable. */
export interface UnlockOptions {
  readonly unlockFile?: string;
  readonly unlockFd?: string;
}

const maxSecretBytes = 4096;
/** The name under which systemd hands the secret over: `LoadCredential=strongroom-unlock:…`. */
const credentialName = "strongroom-unlock";

/** Adds the options that say where the unlock secret comes from. */
export function withUnlock(command: Command): Command {
  return command
    .option("--unlock-file <file>", "file with the unlock secret (mode 0600 or 0400, owned by you)")
    .option("--unlock-fd <number>", "file descriptor to read the unlock secret from");
}

/**
 * Reads the unlock secret: from `--unlock-fd`, `--unlock-file`, the systemd credential `strongroom-unlock`, or a prompt on
 * the terminal with echo off. One newline at the end is not part of a secret.
 *
 * @throws {CommandFailure} 2 when there is no source, or the source is unsafe or unreadable.
 */
export async function readUnlockSecret(options: UnlockOptions): Promise<SecretBuffer> {
  if (options.unlockFd !== undefined) return readDescriptor(options.unlockFd);
  if (options.unlockFile !== undefined) return readSecretFile(options.unlockFile);
  const folder = process.env.CREDENTIALS_DIRECTORY;
  if (folder !== undefined) return readSecretFile(join(folder, credentialName));
  if (process.stdin.isTTY) return promptSecret("Unlock secret: ");
  throw new CommandFailure(
    exitCodes.usage,
    "no unlock secret was given",
    "use --unlock-file FILE, --unlock-fd N, a systemd credential or a terminal",
  );
}

/**
 * Reads a secret from a file that only its owner can read.
 *
 * @throws {CommandFailure} 2 unless the file is regular, mode 0600 or 0400, and owned by the caller.
 */
export function readSecretFile(path: string): SecretBuffer {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    throw new CommandFailure(
      exitCodes.usage,
      `the secret file ${path} cannot be read: ${(cause as NodeJS.ErrnoException).code}`,
    );
  }
  try {
    const { mode, uid } = fstatSync(file);
    const permissions = mode & 0o777;
    if ((mode & 0o170000) !== 0o100000) throw new CommandFailure(exitCodes.usage, `${path} is not a regular file`);
    if (permissions !== 0o600 && permissions !== 0o400)
      throw new CommandFailure(
        exitCodes.usage,
        `the secret file ${path} has mode 0${permissions.toString(8)}, others may read it`,
        `chmod 600 ${path}`,
      );
    if (uid !== process.getuid?.())
      throw new CommandFailure(exitCodes.usage, `the secret file ${path} belongs to uid ${uid}, not to you`);
    return readAll(file, path);
  } finally {
    closeSync(file);
  }
}

/** Asks on the terminal with echo off. Ctrl-C and an empty answer end with usage. */
export async function promptSecret(question: string): Promise<SecretBuffer> {
  const terminal = new ReadStream(openSync("/dev/tty", "r"));
  process.stderr.write(question);
  terminal.setRawMode(true);
  const bytes = Buffer.alloc(maxSecretBytes);
  let length = 0;
  try {
    for await (const chunk of terminal as AsyncIterable<Buffer>) {
      for (const byte of chunk) {
        if (byte === 3) throw new CommandFailure(exitCodes.usage, "interrupted");
        if (byte === 13 || byte === 10) {
          if (length === 0) throw new CommandFailure(exitCodes.usage, "an empty unlock secret is refused");
          return SecretBuffer.copyOf(bytes.subarray(0, length));
        }
        if (byte === 127 || byte === 8) length = Math.max(0, length - 1);
        else if (length < maxSecretBytes) bytes[length++] = byte;
      }
      chunk.fill(0);
    }
    throw new CommandFailure(exitCodes.usage, "the terminal closed before an answer came");
  } finally {
    bytes.fill(0);
    terminal.setRawMode(false);
    terminal.destroy();
    process.stderr.write("\n");
  }
}

function readDescriptor(text: string): SecretBuffer {
  if (!/^\d{1,6}$/.test(text))
    throw new CommandFailure(exitCodes.usage, "--unlock-fd takes the number of a file descriptor");
  try {
    return readAll(Number(text), `file descriptor ${text}`);
  } catch (cause) {
    if (cause instanceof CommandFailure) throw cause;
    throw new CommandFailure(
      exitCodes.usage,
      `file descriptor ${text} cannot be read: ${(cause as NodeJS.ErrnoException).code}`,
    );
  }
}

function readAll(file: number, name: string): SecretBuffer {
  const bytes = Buffer.alloc(maxSecretBytes + 1);
  try {
    let length = 0;
    for (;;) {
      const read = readSync(file, bytes, length, bytes.length - length, null);
      if (read === 0) break;
      length += read;
      if (length > maxSecretBytes)
        throw new CommandFailure(exitCodes.usage, `${name} holds more than ${maxSecretBytes} bytes`);
    }
    if (length > 0 && bytes[length - 1] === 10) length -= 1;
    if (length === 0) throw new CommandFailure(exitCodes.usage, `${name} is empty: an empty unlock secret is refused`);
    return SecretBuffer.copyOf(bytes.subarray(0, length));
  } finally {
    bytes.fill(0);
  }
}
