import { CryptoError } from "../crypto/errors.ts";
import { type LegacyMode, legacyDecryptKeyFile, legacyEncryptKeyFile } from "../crypto/legacy-fisco.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { suites } from "../crypto/suite.ts";
import { fiscoDataKey } from "./data-key.ts";
import { NodeError } from "./errors.ts";
import { readSecretFile } from "./file-steps.ts";
import { identityLine, type PublicIdentity } from "./key-formats/format.ts";
import { keyFormatByName } from "./key-formats/table.ts";
import type { Manifest, SealedFileEntry } from "./manifest.ts";
import type { LoadedManifest } from "./manifest-reader.ts";
import { encodeSealedFile, maxSealedFileBytes } from "./sealed-file.ts";
import { type OpenedKey, openSealedKey, proven } from "./sealed-key-opening.ts";

/**
 * Opens one sealed file of the manifest and proves that it holds the key that the manifest names.
 *
 * @param accept - `any`: whatever key it holds, for a manifest that does not name it yet.
 * @throws {NodeError} `SEALED_FILE_DAMAGED`, `IDENTITY_MISMATCH`, `FILE_UNUSABLE`, `FILE_UNSAFE`.
 */
export function openKeyFile(
  loaded: LoadedManifest,
  entry: SealedFileEntry,
  dataKey: SecretBuffer,
  accept: "named" | "any" = "named",
): OpenedKey {
  const format = keyFormatByName(entry.format);
  if (entry.handover !== "native") return openSealedKey(loaded, entry, format, dataKey, accept);
  const file = loaded.at(entry.sealed);
  return proven(entry, file, openNative(loaded.manifest, file, dataKey), format, accept);
}

/** The bytes of a key file as they go to disk: a sealed file, or (`native`) the program's own encrypted format. */
export function encodeKeyFile(
  manifest: Manifest,
  entry: SealedFileEntry,
  identity: PublicIdentity,
  dataKey: SecretBuffer,
  plaintext: SecretBuffer,
): Buffer {
  const suite = suites[manifest.dataKey.suite];
  if (entry.handover === "native") {
    using fisco = fiscoDataKey(suite, dataKey);
    return Buffer.from(legacyEncryptKeyFile(fiscoMode(manifest), fisco, plaintext));
  }
  const { id, version } = manifest.dataKey;
  if (id === undefined || version === undefined) throw new NodeError("DATA_KEY_MISSING");
  const { name: node, network } = manifest.node;
  const { name, format, version: keyVersion } = entry;
  const sealedAt = new Date().toISOString();
  const metadata = { name, node, network, format, publicIdentity: identity, version: keyVersion, sealedAt };
  return encodeSealedFile(metadata, { suite, id, version }, dataKey, plaintext);
}

/** True when a file decrypts in the program's own format under this node's data key. */
export function opensNatively(loaded: LoadedManifest, file: string, dataKey: SecretBuffer): boolean {
  try {
    openNative(loaded.manifest, file, dataKey)[Symbol.dispose]();
    return true;
  } catch {
    return false;
  }
}

/** True when a `native` file is the plain key that the manifest names: an unseal, or a seal, was killed half-way. */
export function isPlainAgain(loaded: LoadedManifest, entry: SealedFileEntry): boolean {
  try {
    using plain = readSecretFile(loaded.at(entry.path), maxSealedFileBytes).secret;
    return identityLine(keyFormatByName(entry.format).readPublicIdentity(plain)) === entry.publicIdentity;
  } catch {
    return false;
  }
}

/** FISCO's ciphers go with the kind of node. */
export function fiscoMode(manifest: Manifest): LegacyMode {
  return manifest.node.kind === "fisco-sm" ? "sm" : "standard";
}

/** The legacy format authenticates nothing; strict parsing and the public identity do what can be done. */
function openNative(manifest: Manifest, file: string, dataKey: SecretBuffer): SecretBuffer {
  using text = readSecretFile(file, maxSealedFileBytes).secret;
  using fisco = fiscoDataKey(suites[manifest.dataKey.suite], dataKey);
  try {
    return text.expose((bytes) => legacyDecryptKeyFile(fiscoMode(manifest), fisco, bytes));
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw new NodeError("SEALED_FILE_DAMAGED", `${file} does not decrypt under this node's data key`, { cause });
  }
}
