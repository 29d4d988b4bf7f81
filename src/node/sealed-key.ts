import { CryptoError } from "../crypto/errors.ts";
import { type LegacyMode, legacyDecryptKeyFile, legacyEncryptKeyFile } from "../crypto/legacy-fisco.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { suites } from "../crypto/suite.ts";
import { fiscoDataKey } from "./data-key.ts";
import { NodeError } from "./errors.ts";
import { readSecretFile } from "./file-steps.ts";
import type { PublicIdentity } from "./key-formats/format.ts";
import { identityLine, keyFormatByName } from "./key-formats/table.ts";
import type { Manifest, SealedFileEntry } from "./manifest.ts";
import type { LoadedManifest } from "./manifest-reader.ts";
import {
  encodeSealedFile,
  maxSealedFileBytes,
  openSealedFile,
  readSealedMetadata,
  type SealedMetadata,
} from "./sealed-file.ts";

/** A key file's plaintext and what is known of it. The caller disposes of `plaintext`. */
export interface OpenedKey {
  readonly plaintext: SecretBuffer;
  readonly identity: PublicIdentity;
}

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
  const { manifest } = loaded;
  const file = loaded.at(entry.sealed);
  const plaintext =
    entry.handover === "native" ? openNative(manifest, file, dataKey) : openSealed(manifest, file, entry, dataKey);
  try {
    const identity = readIdentity(entry, file, plaintext);
    if (accept === "named" && identityLine(identity) !== entry.publicIdentity)
      throw new NodeError(
        "IDENTITY_MISMATCH",
        `${file} holds the key of ${identityLine(identity)}, but the manifest names ${entry.publicIdentity}`,
      );
    return { plaintext, identity };
  } catch (error) {
    plaintext[Symbol.dispose]();
    throw error;
  }
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

function openSealed(manifest: Manifest, file: string, entry: SealedFileEntry, dataKey: SecretBuffer): SecretBuffer {
  const owner = { node: manifest.node.name, network: manifest.node.network };
  using bytes = readSecretFile(file, maxSealedFileBytes).secret;
  try {
    refuseAnotherKey(manifest, entry, bytes.expose(readSealedMetadata));
    return bytes.expose((sealed) => openSealedFile(sealed, owner, dataKey)).plaintext;
  } catch (error) {
    if (!(error instanceof NodeError)) throw error;
    const hint = error.hint === undefined ? {} : { hint: error.hint };
    throw new NodeError(error.code, `${file}: ${error.message}`, { cause: error, ...hint });
  }
}

/**
 * Tells a file that was swapped for another node's, another key's or an earlier version's from one that is damaged. What it
 * says of itself is proven only when it opens.
 */
function refuseAnotherKey({ node }: Manifest, entry: SealedFileEntry, found: SealedMetadata): void {
  const expected = { ...entry, node: node.name, network: node.network };
  const foundLine = identityLine(found.publicIdentity);
  const same = ["name", "format", "version", "node", "network"] as const;
  if (foundLine === entry.publicIdentity && same.every((member) => found[member] === expected[member])) return;
  const tell = ({ name, format, version, node: of, network }: Pick<SealedMetadata, (typeof same)[number]>) =>
    `${name} (${format}, version ${version}) of ${of} in ${network}`;
  throw new NodeError(
    "IDENTITY_MISMATCH",
    `expected is ${tell(expected)} with the public identity ${entry.publicIdentity}, ` +
      `found is ${tell(found)} with the public identity ${foundLine}`,
    { hint: "put this node's own sealed file back in its place" },
  );
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

function readIdentity(entry: SealedFileEntry, file: string, plaintext: SecretBuffer): PublicIdentity {
  const format = keyFormatByName(entry.format);
  try {
    return format.readPublicIdentity(plaintext);
  } catch (cause) {
    throw new NodeError("SEALED_FILE_DAMAGED", `${file} does not hold a ${entry.format} key`, { cause });
  }
}
