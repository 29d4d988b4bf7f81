import { lstatSync, unlinkSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { maxBoxPlaintextBytes } from "../crypto/sealed-box.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { syncFolder } from "../files/durable-file.ts";
import { NodeError } from "./errors.ts";
import { readSecretFile, replaceFile, writeNewFile } from "./file-steps.ts";
import type { SealedFileEntry } from "./manifest.ts";
import type { LoadedManifest } from "./manifest-reader.ts";
import { updateManifest, withoutSealedFile } from "./manifest-writer.ts";
import { isPlainAgain, openKeyFile } from "./sealed-key.ts";

/** @throws {NodeError} `INPUT_INVALID` when no sealed file has that name or path. */
export function sealedEntry(loaded: LoadedManifest, nameOrPath: string): SealedFileEntry {
  const path = resolve(nameOrPath);
  const entry = loaded.manifest.sealedFiles.find(
    (file) => file.name === nameOrPath || loaded.at(file.path) === path || loaded.at(file.sealed) === path,
  );
  if (entry !== undefined) return entry;
  throw new NodeError("INPUT_INVALID", `there is no sealed file ${JSON.stringify(nameOrPath)} in ${loaded.file}`);
}

/** Writes the plain key into a new file, mode 0600. The sealed file stays. @throws {NodeError} `TARGET_EXISTS`. */
export function unsealTo(loaded: LoadedManifest, dataKey: SecretBuffer, entry: SealedFileEntry, out: string): void {
  using plaintext = openKeyFile(loaded, entry, dataKey).plaintext;
  plaintext.expose((bytes) => writeNewFile(out, bytes));
}

/**
 * Puts the plain key back where it was and takes the file out of the manifest: the way back from `seal`. The sealed copy
 * is removed last. Killed at any point, the same call finishes the work.
 */
export function unsealInPlace(loaded: LoadedManifest, dataKey: SecretBuffer, entry: SealedFileEntry): LoadedManifest {
  const path = loaded.at(entry.path);
  if (entry.handover === "native") {
    if (!isPlainAgain(loaded, entry)) {
      using plaintext = openKeyFile(loaded, entry, dataKey).plaintext;
      plaintext.expose((bytes) => replaceFile(path, bytes));
    }
    return updateManifest(loaded, (text) => withoutSealedFile(text, entry.name));
  }
  using plaintext = openKeyFile(loaded, entry, dataKey).plaintext;
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) plaintext.expose((bytes) => writeNewFile(path, bytes));
  using written = readSecretFile(path, maxBoxPlaintextBytes).secret;
  if (!written.equals(plaintext))
    throw new NodeError("TARGET_EXISTS", `${path} exists already and holds something else`);
  const updated = updateManifest(loaded, (text) => withoutSealedFile(text, entry.name));
  unlinkSync(loaded.at(entry.sealed));
  syncFolder(dirname(loaded.at(entry.sealed)));
  return updated;
}
