import { openSync } from "node:fs";
import { join } from "node:path";
import { ReadStream } from "node:tty";
import type { Command } from "commander";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import {
  longestSecretBytes,
  readSecretFile as readPrivateFile,
  readSecretDescriptor,
  type SecretReading,
} from "../crypto/secret-file.ts";
import { CommandFailure, exitCodes } from "./failure.ts";

/** Where the unlock secret may come from. Never from argv or an environment variable. */
export interface UnlockOptions {
  readonly unlockFile?: string;
  readonly unlockFd?: string;
}

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
  throw new NoUnlockSecret();
}

/** There is no source of the unlock secret. */
export class NoUnlockSecret extends CommandFailure {
  constructor() {
    super(
      exitCodes.usage,
      "no unlock secret was given",
      "use --unlock-file FILE, --unlock-fd N, a systemd credential or a terminal",
    );
  }
}

const reading: SecretReading = {
  what: "unlock secret",
  fileName: "secret file",
  refusal: (message, { hint }) => new CommandFailure(exitCodes.usage, message, hint),
};

/**
 * Reads a secret from a file that only its owner can read.
 *
 * @throws {CommandFailure} 2 unless the file is regular, mode 0600 or 0400, and owned by the caller.
 */
export function readSecretFile(path: string): SecretBuffer {
  return readPrivateFile(path, reading);
}

/** Asks on the terminal with echo off. Ctrl-C and an empty answer end with usage. */
export async function promptSecret(question: string): Promise<SecretBuffer> {
  const terminal = new ReadStream(openSync("/dev/tty", "r"));
  process.stderr.write(question);
  terminal.setRawMode(true);
  const bytes = Buffer.alloc(longestSecretBytes);
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
        else if (length < longestSecretBytes) bytes[length++] = byte;
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
  return readSecretDescriptor(Number(text), `file descriptor ${text}`, reading);
}
