import { lstatSync, mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { readSecretFile, removeDeadTemporaries, writeNewFile } from "./file-steps.ts";
import type { GeneratedKey } from "./key-formats/format.ts";
import { identityLine } from "./key-formats/format.ts";
import { keyFormatByName } from "./key-formats/table.ts";
import type { Handover, SealedFileEntry } from "./manifest.ts";
import { type LoadedManifest, parseManifest } from "./manifest-reader.ts";
import { updateManifest, withSealedFile } from "./manifest-writer.ts";
import { maxSealedFileBytes, readSealedMetadata } from "./sealed-file.ts";
import { encodeKeyFile, openKeyFile } from "./sealed-key.ts";

/** How a key that was made here is named and handed over. */
export interface NewKeyPlace {
  readonly name: string;
  readonly handover: Handover;
  /** Where the program keeps such a key; nothing plain is ever written there. */
  readonly path: string;
}

/**
 * Seals a key that exists in memory only: the first bytes that reach a disk are ciphertext. It is read back, opened and
 * compared before the manifest names it.
 *
 * @throws {NodeError} `MANIFEST_INVALID`, `TARGET_EXISTS`, `SEALED_FILE_DAMAGED`.
 */
export function sealNewKey(
  loaded: LoadedManifest,
  dataKey: SecretBuffer,
  place: NewKeyPlace,
  key: GeneratedKey,
): LoadedManifest {
  const identity = keyFormatByName(key.format).readPublicIdentity(key.file);
  const entry = newEntry(place, key.format, identityLine(identity));
  // What the manifest could not take must be refused before anything is written.
  parseManifest(withSealedFile(readFileSync(loaded.file, "utf8"), entry), loaded.folder);
  const target = loaded.at(entry.sealed);
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
  removeDeadTemporaries(target);
  writeNewFile(target, encodeKeyFile(loaded.manifest, entry, identity, dataKey, key.file));
  openKeyFile(loaded, entry, dataKey).plaintext[Symbol.dispose]();
  return updateManifest(loaded, (text) => withSealedFile(text, entry));
}

/**
 * Takes up a key that an interrupted creation has sealed but not yet named in the manifest.
 *
 * @returns The manifest as it is now; undefined when there is no such file.
 * @throws {NodeError} `SEALED_FILE_DAMAGED`, `IDENTITY_MISMATCH` when the file is not this node's.
 */
export function adoptNewKey(
  loaded: LoadedManifest,
  dataKey: SecretBuffer,
  place: NewKeyPlace,
  format: string,
): LoadedManifest | undefined {
  const draft = newEntry(place, format, "none");
  const file = loaded.at(draft.sealed);
  if (lstatSync(file, { throwIfNoEntry: false }) === undefined) return undefined;
  const entry = place.handover === "native" ? nativeEntry(loaded, dataKey, draft) : sealedEntry(file, draft);
  openKeyFile(loaded, entry, dataKey).plaintext[Symbol.dispose]();
  return updateManifest(loaded, (text) => withSealedFile(text, entry));
}

function sealedEntry(file: string, draft: SealedFileEntry): SealedFileEntry {
  using bytes = readSecretFile(file, maxSealedFileBytes).secret;
  return { ...draft, publicIdentity: identityLine(bytes.expose(readSealedMetadata).publicIdentity) };
}

/** The program's own format says nothing of itself, so the identity is that of what it decrypts to. */
function nativeEntry(loaded: LoadedManifest, dataKey: SecretBuffer, draft: SealedFileEntry): SealedFileEntry {
  const { plaintext, identity } = openKeyFile(loaded, draft, dataKey, "any");
  plaintext[Symbol.dispose]();
  return { ...draft, publicIdentity: identityLine(identity) };
}

function newEntry({ name, handover, path }: NewKeyPlace, format: string, publicIdentity: string): SealedFileEntry {
  const sealed = handover === "native" ? path : `sealed/${name}.sealed`;
  return { name, path, sealed, format, handover, publicIdentity, version: 1, reads: 1, link: false };
}
