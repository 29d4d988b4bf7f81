import { join } from "node:path";
import type { Command } from "commander";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { readSecretFile as readPrivateFile, readSecretDescriptor, type SecretReading } from "../crypto/secret-file.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { TerminalPrompt } from "./terminal-prompt.ts";

/** Where the unlock secret may come from. Never from argv or an environment variable. */
export interface UnlockOptions {
  readonly unlockFile?: string;
  readonly unlockFd?: string;
}

/** The name under which systemd hands the secret over: `LoadCredential=strongroom-unlock:…`. */
const credentialName = "strongroom-unlock";

const unlockSources = "use --unlock-file FILE, --unlock-fd N, a systemd credential or a terminal";

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
  if (process.stdin.isTTY) return promptSecret("Unlock secret: ", unlockSources);
  throw new NoUnlockSecret();
}

/** There is no source of the unlock secret. */
export class NoUnlockSecret extends CommandFailure {
  constructor() {
    super(exitCodes.usage, "no unlock secret was given", unlockSources);
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

/**
 * Asks on the terminal with echo off.
 *
 * @param instead - How to give the secret where there is no terminal.
 * @returns Never empty. The caller disposes of it.
 * @throws {CommandFailure} 2 for Ctrl-C, Ctrl-D, an empty or too long answer, and where there is no terminal.
 */
export async function promptSecret(question: string, instead: string): Promise<SecretBuffer> {
  using prompt = TerminalPrompt.open();
  if (prompt === undefined) throw new CommandFailure(exitCodes.usage, "there is no terminal to ask on", instead);
  const answer = await prompt.ask(question);
  if (answer.byteLength > 0) return answer;
  answer[Symbol.dispose]();
  throw new CommandFailure(exitCodes.usage, "an empty secret is refused");
}

function readDescriptor(text: string): SecretBuffer {
  if (!/^\d{1,6}$/.test(text))
    throw new CommandFailure(exitCodes.usage, "--unlock-fd takes the number of a file descriptor");
  return readSecretDescriptor(Number(text), `file descriptor ${text}`, reading);
}
