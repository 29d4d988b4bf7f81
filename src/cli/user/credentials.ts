import { existsSync } from "node:fs";
import { dirname } from "node:path";
import type { Command } from "commander";
import type { NewAccessKey } from "../../client/answers.ts";
import { writeNewFile } from "../../node/file-steps.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, tell } from "../output.ts";

/** Where the secret of a new access key goes; by default to standard output. */
export interface CredentialOptions extends OutputOptions {
  readonly out?: string;
  readonly secretFile?: string;
}

/** Adds the options that say where a new secret goes. */
export function withCredentials(command: Command): Command {
  return command
    .option(
      "--out <file>",
      "write id and secret to a new file (0600) in the form of AWS credentials, and do not print them",
    )
    .option("--secret-file <file>", "write the secret alone to a new file (0600), and do not print it");
}

/**
 * Before anything is made: a secret that can't be put away would be lost.
 *
 * @throws {CommandFailure} 2.
 */
export function checkCredentialFiles({ out, secretFile }: CredentialOptions): void {
  if (out !== undefined && out === secretFile)
    throw new CommandFailure(exitCodes.usage, "--out and --secret-file name the same file");
  for (const file of [out, secretFile]) {
    if (file === undefined) continue;
    if (existsSync(file)) throw new CommandFailure(exitCodes.usage, `${file} exists already`, "name a new file");
    if (!existsSync(dirname(file)))
      throw new CommandFailure(exitCodes.usage, `the folder ${dirname(file)} does not exist`);
  }
}

/**
 * Hands a new access key to the person who asked for it, once: to the files, else to standard output. The secret goes from
 * one buffer to another and never becomes a string; every copy is wiped.
 *
 * @param about - Members that stand before those of the access key in the JSON answer.
 */
export function handOverAccessKey(
  options: CredentialOptions,
  about: Readonly<Record<string, unknown>>,
  { secret, id, user, version, state, createdAt }: NewAccessKey,
): void {
  using held = secret;
  const { out, secretFile } = options;
  held.expose((bytes) => {
    if (out !== undefined)
      writeAndWipe(out, [`[default]\naws_access_key_id = ${id}\naws_secret_access_key = `, bytes, "\n"]);
    if (secretFile !== undefined) writeAndWipe(secretFile, [bytes, "\n"]);
    const kept = out !== undefined || secretFile !== undefined;
    const members = { ...about, accessKeyId: id };
    // Every secret is base64: nothing of it needs escaping.
    const json = [
      "{",
      ...Object.entries(members).map(([name, value]) => `\n  ${JSON.stringify(name)}: ${indented(value)},`),
    ];
    const lines = [`user               ${user}\naccess key id      ${id}\n`];
    const text: (string | Uint8Array)[] = options.json
      ? [
          json.join(""),
          ...(kept ? [] : ['\n  "secretAccessKey": "', bytes, '",']),
          `\n  "version": ${version},\n  "accessKeyState": "${state}",\n  "accessKeyCreatedAt": "${createdAt}"\n}\n`,
        ]
      : [...lines, ...(kept ? [] : ["secret access key  ", bytes, "\n"])];
    const line = joined(text);
    process.stdout.write(line, () => line.fill(0)); // exposes-secret: it is what was asked for, shown this once
    const files = [out, secretFile].filter((file) => file !== undefined);
    if (kept) tell(`the secret access key is in ${files.join(" and ")}, and can't be shown again`);
    else tell("warning: the secret access key is shown this once; it can't be shown again, only rotated");
  });
}

function writeAndWipe(file: string, parts: readonly (string | Uint8Array)[]): void {
  const bytes = joined(parts);
  try {
    writeNewFile(file, bytes);
  } finally {
    bytes.fill(0);
  }
}

/** In memory of its own, to be wiped. */
function joined(parts: readonly (string | Uint8Array)[]): Buffer {
  const pieces = parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part));
  const whole = Buffer.allocUnsafeSlow(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function indented(value: unknown): string {
  return JSON.stringify(value, null, 2).replaceAll("\n", "\n  ");
}
