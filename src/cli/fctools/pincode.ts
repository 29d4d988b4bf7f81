import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { readSecretDescriptor, readSecretFile, type SecretReading } from "../../crypto/secret-file.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { TerminalPrompt } from "../terminal-prompt.ts";

/** Where a pincode comes from: one of these, else the terminal. Never the command line, nor the environment. */
export interface PincodeOptions {
  readonly "pincode-file"?: string | undefined;
  readonly "pincode-fd"?: string | undefined;
}

/** For `node:util`'s parseArgs. */
export const pincodeArguments = {
  "pincode-file": { type: "string" },
  "pincode-fd": { type: "string" },
} as const;

/** Shorter ones are guessed by whoever has the ciphertext and some computers. */
export const advisedPincodeBytes = 12;

/** How a file with a pincode is read. */
export const pincodeReading: SecretReading = {
  what: "pincode",
  fileName: "pincode file",
  refusal: (message, { hint }) => new CommandFailure(exitCodes.usage, message, hint),
};

/**
 * Reads the pincode of a private key that there is.
 *
 * @returns Never empty. The caller disposes of it.
 * @throws {CommandFailure} 2.
 */
export function readPincode(options: PincodeOptions): Promise<SecretBuffer> {
  return pincodeOf(options, async (prompt) => prompt.ask("pincode: "));
}

/** Reads the pincode of a private key to be: on the terminal twice. Otherwise as {@link readPincode}. */
export function readNewPincode(options: PincodeOptions): Promise<SecretBuffer> {
  return pincodeOf(options, async (prompt) => {
    const pincode = await prompt.ask("pincode: ");
    using again = await prompt.ask("confirm: ");
    if (again.equals(pincode)) return pincode;
    pincode[Symbol.dispose]();
    throw new CommandFailure(exitCodes.usage, "the two pincodes differ");
  });
}

async function pincodeOf(
  { "pincode-file": file, "pincode-fd": descriptor }: PincodeOptions,
  ask: (prompt: TerminalPrompt) => Promise<SecretBuffer>,
): Promise<SecretBuffer> {
  if (file !== undefined && descriptor !== undefined)
    throw new CommandFailure(exitCodes.usage, "give --pincode-file or --pincode-fd, not both");
  if (file !== undefined) return readSecretFile(file, pincodeReading);
  if (descriptor !== undefined) {
    if (!/^\d{1,6}$/.test(descriptor))
      throw new CommandFailure(exitCodes.usage, "--pincode-fd takes the number of a file descriptor");
    return readSecretDescriptor(Number(descriptor), `file descriptor ${descriptor}`, pincodeReading);
  }
  using prompt = TerminalPrompt.open();
  if (prompt === undefined)
    throw new CommandFailure(
      exitCodes.usage,
      "there is no terminal to ask for the pincode on",
      "use --pincode-file FILE (mode 0600) or --pincode-fd N",
    );
  const pincode = await ask(prompt);
  if (pincode.byteLength > 0) return pincode;
  throw new CommandFailure(exitCodes.usage, "an empty pincode is refused");
}
