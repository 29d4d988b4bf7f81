import { NodeError } from "./errors.ts";
import type { Manifest, SealedFileEntry } from "./manifest.ts";

/** What stands for `{…}` in a command once everything is open. */
export interface SubstitutionValues {
  /** Path by which the program opens a sealed file: `/dev/fd/N`, or a path on a tmpfs. */
  key(name: string): string | undefined;
  /** Number of the inherited descriptor of a sealed file, or of the volume's own key (`volume`). */
  fd(name: string): number | undefined;
  /** The folder of the keys handed over as `keystore`. */
  readonly keystore?: string | undefined;
  /** The volume's data folder. */
  readonly data?: string | undefined;
  /** The volume's folder for logs, where the kind encrypts any file. */
  readonly logs?: string | undefined;
  /** The manifest's folder. */
  readonly dir: string;
}

const pattern = /\{(key|fd):([A-Za-z0-9._-]{1,63})\}|\{(data|dir|keystore|logs)\}/g;

/** `{fd:volume}` (or `{fd:level}`): the volume's own key for programs that encrypt by themselves. */
export const volumeKeyNames: readonly string[] = ["volume", "level"];

/** Fills in the substitutions of one argument; other braces stay as they are (JSON arguments have them). */
export function substitute(argument: string, values: SubstitutionValues): string {
  return argument.replace(pattern, (whole, kind?: string, name?: string, folder?: string) => {
    if (kind === "key") return values.key(name ?? "") ?? unknown(whole);
    if (kind === "fd") return String(values.fd(name ?? "") ?? unknown(whole));
    return values[folder as "data" | "dir" | "keystore" | "logs"] ?? unknown(whole);
  });
}

/**
 * Refuses substitutions that could never be filled, before any key is asked for.
 *
 * @throws {NodeError} `MANIFEST_INVALID`.
 */
export function checkSubstitutions(manifest: Manifest): void {
  for (const text of textsOf(manifest))
    for (const [whole, kind, name = "", named] of text.matchAll(pattern)) {
      if (named !== undefined) {
        if ((named === "data" || named === "logs") && manifest.volume === undefined)
          throw invalid(`${whole} is used, but there is no [volume]`);
        continue;
      }
      if (kind === "fd" && volumeKeyNames.includes(name)) {
        if (manifest.volume === undefined) throw invalid(`${whole} is used, but there is no [volume]`);
        continue;
      }
      const file = manifest.sealedFiles.find((entry) => entry.name === name);
      // A new manifest names its keys before they are sealed; a launch looks again.
      if (file === undefined) continue;
      if (file.handover === "native") throw invalid(`${whole}: the program opens this file itself (handover native)`);
      if (kind === "fd" && file.handover !== "fd")
        throw invalid(`${whole}: the file is handed over as ${file.handover}`);
    }
}

/**
 * Whether the command takes a sealed file: by its name, by `{keystore}`, or by a link at a path of its own. What it does not
 * name is not for this program, which may hand its descriptors on to others.
 */
export function isTaken(manifest: Manifest, { name, handover, link }: SealedFileEntry): boolean {
  if (handover === "native") return false;
  if (link && handover !== "keystore" && handover !== "fd") return true;
  return textsOf(manifest).some((text) =>
    [...text.matchAll(pattern)].some(([whole, , named]) =>
      named === undefined ? handover === "keystore" && whole === "{keystore}" : named === name,
    ),
  );
}

/** All of a command in which substitutions are made. */
function textsOf({ command }: Manifest): readonly string[] {
  if (command === undefined) return [];
  const { argv, folder, log, environment } = command;
  return [...argv, folder, log ?? "", ...Object.values(environment)];
}

/**
 * Refuses a command whose keys are not all sealed yet.
 *
 * @throws {NodeError} `COMMAND_UNUSABLE`.
 */
export function checkKeysAreSealed(manifest: Manifest): void {
  const { argv = [], environment = {} } = manifest.command ?? {};
  for (const text of [...argv, ...Object.values(environment)])
    for (const [whole, kind, name = ""] of text.matchAll(pattern)) {
      if (whole === "{keystore}" && !manifest.sealedFiles.some((entry) => entry.handover === "keystore"))
        throw new NodeError("COMMAND_UNUSABLE", `${whole}: no sealed file is handed over as keystore`, {
          hint: "seal an account: strongroom node seal … UTC--… --handover keystore",
        });
      const known = manifest.sealedFiles.some((entry) => entry.name === name);
      if (kind === undefined || known || (kind === "fd" && volumeKeyNames.includes(name))) continue;
      throw new NodeError("COMMAND_UNUSABLE", `${whole}: there is no sealed file of that name`, {
        hint: `seal it: strongroom node seal … --name ${name}`,
      });
    }
}

function unknown(whole: string): never {
  throw new NodeError("COMMAND_UNUSABLE", `there is nothing for ${whole}`);
}

function invalid(message: string): NodeError {
  return new NodeError("MANIFEST_INVALID", `command: ${message}`);
}
