import { lstatSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { maxBoxPlaintextBytes } from "../crypto/sealed-box.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { syncFolder } from "../files/durable-file.ts";
import { NodeError } from "./errors.ts";
import { overwriteAndRemove, readSecretFile, removeDeadTemporaries, writeNewFile } from "./file-steps.ts";
import { identityLine } from "./key-formats/format.ts";
import { keyFormatByName } from "./key-formats/table.ts";
import type { SealedFileEntry } from "./manifest.ts";
import type { LoadedManifest } from "./manifest-reader.ts";
import { updateManifest, withReplacedSealedFile } from "./manifest-writer.ts";
import type { SealOutcome } from "./seal.ts";
import { encodeKeyFile, openKeyFile } from "./sealed-key.ts";

/** The steps of a replacement, in order. Killed after any of them, the same call finishes the work. */
export const replaceSteps = ["written", "listed", "old-removed", "removed"] as const;
export type ReplaceStep = (typeof replaceSteps)[number];

/** What the plain file is called between being set aside and being overwritten, as in a seal. */
const asideSuffix = ".strongroom-wipe";

/**
 * Puts another key in the place of a sealed one, as its next version: the new sealed file is written and proven, the
 * manifest changes over in one step, then the old sealed file and the plain original are overwritten and removed. A sealed
 * file of the version before no longer opens in the new one's place.
 *
 * @param name - Of the sealed file that is replaced.
 * @throws {NodeError} `INPUT_INVALID` for a name that is not there or a file of handover `native`, `KEY_FILE_INVALID`,
 *   `FILE_UNSAFE`, `FILE_UNUSABLE`.
 */
export function replaceKey(
  loaded: LoadedManifest,
  dataKey: SecretBuffer,
  name: string,
  file: string,
  onStep: (step: ReplaceStep) => void = () => {},
): SealOutcome {
  const path = resolve(file);
  const present = presentEntry(loaded, name);
  const aside = path + asideSuffix;
  if (!exists(path) && exists(aside)) renameSync(aside, path);
  using plaintext = readSecretFile(path, maxBoxPlaintextBytes).secret;
  const identity = keyFormatByName(present.format).readPublicIdentity(plaintext);
  const already = holds(loaded, present, dataKey, plaintext);
  const entry = already ? present : nextEntry(present, identityLine(identity));
  let updated = loaded;
  if (!already) {
    const target = loaded.at(entry.sealed);
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    removeDeadTemporaries(target);
    // What stands there was never named by the manifest: an interrupted replacement has left it.
    if (exists(target)) overwriteAndRemove(target);
    writeNewFile(target, encodeKeyFile(loaded.manifest, entry, identity, dataKey, plaintext));
    if (!holds(loaded, entry, dataKey, plaintext))
      throw new NodeError("SEALED_FILE_DAMAGED", `${target} does not hold it`);
    onStep("written");
    updated = updateManifest(loaded, (text) => withReplacedSealedFile(text, entry));
    onStep("listed");
  }
  removeOtherVersions(updated, entry);
  onStep("old-removed");
  renameSync(path, aside);
  syncFolder(dirname(path));
  overwriteAndRemove(aside);
  onStep("removed");
  return { entry, identity, loaded: updated };
}

function presentEntry(loaded: LoadedManifest, name: string): SealedFileEntry {
  const entry = loaded.manifest.sealedFiles.find((each) => each.name === name);
  if (entry === undefined)
    throw new NodeError("INPUT_INVALID", `there is no sealed file ${JSON.stringify(name)} to replace`);
  if (entry.handover === "native")
    throw new NodeError("INPUT_INVALID", `${name} is in the program's own format, which has no versions`, {
      hint: `unseal it with --restore, put the new key in ${entry.path}, and seal that`,
    });
  return entry;
}

function nextEntry(present: SealedFileEntry, publicIdentity: string): SealedFileEntry {
  const version = present.version + 1;
  return { ...present, version, publicIdentity, sealed: versionFile(present.name, version) };
}

function versionFile(name: string, version: number): string {
  return `sealed/${name}.v${version}.sealed`;
}

function holds(
  loaded: LoadedManifest,
  entry: SealedFileEntry,
  dataKey: SecretBuffer,
  plaintext: SecretBuffer,
): boolean {
  using opened = openKeyFile(loaded, entry, dataKey).plaintext;
  return opened.equals(plaintext);
}

/** The first version's file, and those that {@link versionFile} names. */
function removeOtherVersions(loaded: LoadedManifest, entry: SealedFileEntry): void {
  const folder = loaded.at("sealed");
  const isVersion = (file: string) => {
    if (file === `${entry.name}.sealed`) return true;
    const [, version] = file.startsWith(`${entry.name}.v`) ? (/\.v([0-9]{1,10})\.sealed$/.exec(file) ?? []) : [];
    return version !== undefined && `sealed/${file}` === versionFile(entry.name, Number(version));
  };
  const inUse = new Set(loaded.manifest.sealedFiles.map(({ sealed }) => loaded.at(sealed)));
  for (const file of exists(folder) ? readdirSync(folder) : [])
    if (isVersion(file) && !inUse.has(join(folder, file))) overwriteAndRemove(join(folder, file));
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
